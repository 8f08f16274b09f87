# One static binary on an empty image, as an ordinary user. From the root of the repository:
#   docker build -f deploy/l4lb.Dockerfile -t gatehouse/l4lb --build-arg VERSION="$(git describe --tags --always)" .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/l4lb ./cmd/l4lb \
    && mkdir -m 700 /out/log

FROM scratch
# For what verifies certificates against public authorities; probes do not.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# The flow log (flowLog.output) belongs here, in a volume.
COPY --from=build --chown=65532:65532 /out/log /var/log/gatehouse
COPY --from=build /out/l4lb /usr/bin/l4lb
USER 65532:65532
# The rules of deploy/balancer, read-only metrics. The admin address is loopback inside the container and not published.
EXPOSE 5432/tcp 8053/udp 9100
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/bin/l4lb", "status", "-c", "/etc/gatehouse/l4lb.yaml"]
ENTRYPOINT ["/usr/bin/l4lb"]
CMD ["run", "-c", "/etc/gatehouse/l4lb.yaml"]
