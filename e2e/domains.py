"""The zone of domain names that the clients of these tests ask, and what it lists."""

from pathlib import Path

ZONE = "dbl.example.org"

# Every form that an entry of names or mail addresses has.
TEXT = """\
zone: dbl.example.org
ttl: 2m
negative_ttl: 2s
ns: [ns1.example.org]
lists:
  - name: spam
    code: 127.0.0.2
    reason: unsolicited mail
    txt: "{domain} is named in {reason}. https://dbl.example.org/?q={domain}"
    entries:
      - bad.example
      - .worse.example
      - "*.below.example"
      - bücher.example
      - {domain: mapped.example, reason: phishing, code: 127.0.0.4}
    except:
      - good.worse.example
  - name: feed
    code: 127.0.0.3
    txt: "{domain} is in a feed"
    subdomains: true
    files: [names.txt]
  - name: mails
    code: 127.0.0.5
    txt: mail address in {zone}
    hash: sha1
    entries:
      - Someone@Mail.example
      - someone@gmail.com
      - 30c56415f0a5e688392a65e096156ad51391e362  # reply.to@mail.example
  - name: mails-md5
    code: 127.0.0.6
    txt: mail address in {zone}
    hash: md5
    entries: [someone@mail.example]
  - name: mails-sha256
    code: 127.0.0.7
    txt: mail address in {zone}
    hash: sha256
    encoding: base32
    entries: [someone@mail.example]
"""
FEED = "# names and all below them\nfed.example\n"


def write_zone(directory: Path, text: str = TEXT) -> Path:
    """Make a directory with the zone file and its list file; the path of the zone file."""
    directory.mkdir()
    (directory / "names.txt").write_text(FEED)
    path = directory / "dbl.yaml"
    path.write_text(text)
    return path
