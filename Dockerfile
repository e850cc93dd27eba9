# The image of posternd: compiled in one stage, run from another that has no compiler.
#
#   docker build -t postern .
#   docker run --read-only -v spool:/var/spool/postern -v ./certs:/etc/postern/tls:ro \
#     -p 9090:9090 -p 9091:9091 postern
#
# SOURCE and LANG are for whoever has built this tree before, on the same Debian: with the tree's own
# path, the same locale and ccache's directories mounted, nothing is compiled twice (tests/container).
# Only the step that compiles knows SOURCE: podman 4.3 takes `WORKDIR $SOURCE`, and what is copied
# there, from its cache for another SOURCE too.

FROM debian:bookworm-slim AS build
WORKDIR /src
COPY deploy/packages deploy/packages
RUN deploy/packages build
COPY . .
ARG SOURCE=/src
ARG LANG=C.UTF-8
RUN if [ "$SOURCE" != /src ]; then mkdir -p "$SOURCE" && cp -a /src/. "$SOURCE"; fi \
    && cd "$SOURCE" \
    && cmake --preset release -DPOSTERN_BENCH=OFF \
    && cmake --build build/release --target posternd postern \
    && mkdir /out \
    && strip -o /out/posternd build/release/server/posternd \
    && strip -o /out/postern build/release/client/postern

FROM debian:bookworm-slim
# Only what the two programs are linked with. libssl3 comes with gRPC.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
      libcpp-httplib0.11 libgrpc++1.51 libabsl20220623 libc-ares2 libprotobuf32 librocksdb7.8 \
      libspdlog1.10 libyaml-cpp0.7 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log \
    && useradd --uid 10025 --user-group --no-log-init --no-create-home --home-dir /var/spool/postern \
      --shell /usr/sbin/nologin postern \
    && install -d -o postern -g postern -m 0700 /var/spool/postern \
    && install -d -o postern -g postern -m 0755 /run/postern \
    && install -d /etc/postern/tls
COPY --from=build /out/posternd /usr/sbin/posternd
COPY --from=build /out/postern /usr/bin/postern
COPY deploy/container.yaml /etc/postern/postern.yaml

# POSTERN_ADDRESS is for `docker exec NAME postern queues` and the health check: they need no
# certificate there.
ENV POSTERN_TLS_DIRECTORY=/etc/postern/tls \
    POSTERN_ADDRESS=unix:/run/postern/postern.sock
USER 10025:10025
# Written to: the mail, and the socket. Both may stand beside a read-only root file system.
VOLUME ["/var/spool/postern", "/run/postern"]
EXPOSE 9090 9091
# options.drain_budget (8s) fits into the 10 s that Docker gives.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["postern", "health"]
ENTRYPOINT ["posternd"]
