"""`python -m dnsbl_server`."""

from dnsbl_server.cli.main import main

if __name__ == "__main__":
    main(prog_name="dnsbl-server")
