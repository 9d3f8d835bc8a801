# syntax=docker/dockerfile:1

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=""
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/pgbell ./cmd/pgbell

# No shell and no libc; CA certificates and time zones are in it. It runs as
# the account nonroot, 65532.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/pgbell /pgbell
COPY LICENSE /LICENSE
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["/pgbell", "healthcheck"]
ENTRYPOINT ["/pgbell"]
CMD ["serve"]
