# dnsbl-server in a small image, running as a user without privileges.
#
#   docker build -t dnsbl-server .
#   docker run -p 53:5300/udp -p 53:5300/tcp -p 127.0.0.1:9353:9353 -v "$PWD/zones:/zones:ro" dnsbl-server
#
# 5300 UDP and TCP: DNS. 9353: /metrics and /healthz. /zones: the zone files, which are watched; mount the directory
# and not single files, because editors and config management replace files, and a mounted file stays the old one.

FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/dnsbl-server
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY dnsbl_server dnsbl_server
RUN /opt/dnsbl-server/bin/pip install --no-cache-dir --no-compile .

FROM python:3.13-slim
RUN useradd --system --uid 5300 --no-create-home --shell /usr/sbin/nologin dnsbl
COPY --from=build /opt/dnsbl-server /opt/dnsbl-server
COPY zones /zones
RUN install -d -o dnsbl -g dnsbl -m 0700 /var/lib/dnsbl-server
ENV PATH=/opt/dnsbl-server/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER dnsbl
EXPOSE 5300/udp 5300/tcp 9353/tcp
VOLUME /zones /var/lib/dnsbl-server
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9353/healthz', timeout=2)"]
ENTRYPOINT ["dnsbl-server"]
CMD ["serve", "--listen", "0.0.0.0:5300", "--listen", "[::]:5300", "--metrics", "0.0.0.0:9353", "/zones"]
