# One static binary on an empty image, as an ordinary user. From the root of the repository:
#   docker build -f deploy/trafficmgr.Dockerfile -t gatehouse/trafficmgr --build-arg VERSION="$(git describe --tags --always)" .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/trafficmgr ./cmd/trafficmgr \
    && mkdir -m 700 /out/state

FROM scratch
# For monitors that verify certificates against public authorities.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# Keys of DNSSEC (dnssec.keyFile) and logs belong here, in a volume.
COPY --from=build --chown=65532:65532 /out/state /var/lib/gatehouse
COPY --from=build /out/trafficmgr /usr/bin/trafficmgr
USER 65532:65532
# DNS, read-only metrics. The admin address is loopback inside the container and not published.
EXPOSE 8053/udp 8053/tcp 9100
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/bin/trafficmgr", "status", "-c", "/etc/gatehouse/trafficmgr.yaml"]
ENTRYPOINT ["/usr/bin/trafficmgr"]
CMD ["run", "-c", "/etc/gatehouse/trafficmgr.yaml"]
