# The image of the step: one static binary on an empty base.
#
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" -t knowledge-mixing .
#   docker buildx build --platform linux/amd64,linux/arm64 -t registry/knowledge-mixing:1 --push .
#
# The same final stage also takes a binary that was built outside, without any base image:
#
#   make static && mkdir -p dist
#   cp target/static/knowledge-mixing /etc/ssl/certs/ca-certificates.crt dist/
#   DOCKER_BUILDKIT=1 docker build --build-arg BINARY=provided -t knowledge-mixing .
#
# No `# syntax=` line: the frontend that BuildKit contains is enough, and that line would pull another one.

# `built`: from source, in the first stages. `provided`: dist/knowledge-mixing and dist/ca-certificates.crt of the context.
ARG BINARY=built
ARG RUST_VERSION=1.95

# The builder runs on the platform that it builds for (natively or emulated), so no cross toolchain is needed.
FROM rust:${RUST_VERSION}-bookworm AS builder
ARG TARGETARCH
WORKDIR /build
# With an explicit target, `crt-static` does not apply to build scripts and procedural macros, which must stay dynamic.
RUN case "${TARGETARCH:-$(dpkg --print-architecture)}" in \
      amd64) echo x86_64-unknown-linux-gnu ;; \
      arm64) echo aarch64-unknown-linux-gnu ;; \
      *) echo "unsupported architecture: ${TARGETARCH}" >&2; exit 1 ;; \
    esac > /target
ENV RUSTFLAGS="-C target-feature=+crt-static"

# Dependencies are a layer of their own, which changes only with the manifests and Cargo.lock. The sources are empty files.
COPY Cargo.toml Cargo.lock ./
COPY tests/support/Cargo.toml tests/support/
RUN mkdir -p src benches tests/support/src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs tests/support/src/lib.rs \
    && awk '/^\[\[bench/ {bench=1} /^name *=/ && bench {gsub(/"/, ""); print $3; bench=0}' Cargo.toml \
       | while read -r name; do touch "benches/$name.rs"; done \
    && cargo build --locked --profile dist --bin knowledge-mixing --target "$(cat /target)"

COPY . .
# The commit that `--version` shows. The context has no .git, so only the caller knows it; without it, the program shows none.
ARG REVISION=
# Cargo compares times, and the empty files are newer than the sources from the context.
RUN touch src/main.rs src/lib.rs \
    && export KNOWLEDGE_MIXING_COMMIT="$(printf %.7s "$REVISION")" \
    && cargo build --locked --profile dist --bin knowledge-mixing --target "$(cat /target)" \
    && mkdir -p /out && cp "target/$(cat /target)/dist/knowledge-mixing" /etc/ssl/certs/ca-certificates.crt /out/

FROM scratch AS binary-built
COPY --from=builder /out/ /

FROM scratch AS binary-provided
COPY dist/knowledge-mixing dist/ca-certificates.crt /

FROM binary-${BINARY} AS binary

FROM scratch AS final
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=https://github.com/knowledge-mixing/knowledge-mixing
LABEL org.opencontainers.image.title="knowledge-mixing" \
      org.opencontainers.image.description="Mixes synthetic question-answer data into training files: sample, format, count, repeatably" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# A /tmp of mode 1777 (Kubeflow mounts none), a working directory for any uid with group 0, and the files that the C library
# reads in /etc. An archive (made by pipelines/docker/make_rootfs.py), because COPY loses the sticky bit.
ADD pipelines/docker/rootfs.tar.gz /
COPY --from=binary --chmod=0644 /ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=binary --chmod=0755 /knowledge-mixing /usr/local/bin/knowledge-mixing
ENV HOME=/tmp \
    PATH=/usr/local/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# OpenShift requires group 0. Any other uid works, too.
USER 65532:0
WORKDIR /data
STOPSIGNAL SIGTERM
# No ENTRYPOINT: Kubeflow and Argo pass the complete command.
CMD ["/usr/local/bin/knowledge-mixing", "--help"]
