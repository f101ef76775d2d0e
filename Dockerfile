# The images of framefleet. `framefleet` has the producer, the stitcher and the autoscaler; `framefleet-worker` scores on the
# processor; `framefleet-worker-cuda` on NVIDIA's GPUs too. Name the target: docker build --target framefleet-worker .
# All three have the same Debian and the same ffmpeg, since a batch must come out with the same bytes anywhere.
#
# Nothing here needs BuildKit, so that a registry can build it as well. A base by its digest:
#   docker build --build-arg NODE_IMAGE="$(deploy/image/digest.sh node:26-bookworm-slim)" …
ARG NODE_IMAGE=node:26-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
# As in scripts/setup.mjs: no package needs its install script, and `npm ci` wants platforms that no lock file here has.
RUN npm install --no-save --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json tsconfig.client.json ./
COPY src src
RUN npm run build

# What runs, at the versions of the lock file: no compiler, no emulator of storage, no Node for those who lack one, and of
# ONNX Runtime what is for this machine.
FROM ${NODE_IMAGE} AS modules
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm pkg delete devDependencies optionalDependencies dependencies.azurite \
  && npm install --no-save --ignore-scripts --no-audit --no-fund \
  && npm sbom --sbom-format=cyclonedx > sbom.cdx.json \
  && find node_modules/onnxruntime-node/bin -mindepth 3 -maxdepth 3 ! -path "*/linux/$(node -p process.arch)" -exec rm -rf {} +

FROM ${NODE_IMAGE} AS framefleet
# tini: engines and ffmpegs that lose their parent have somebody who buries them. The package managers of Node stay out.
RUN apt-get update \
  && apt-get install -y --no-install-recommends 'ffmpeg=7:5.1.*' 'tini=0.19.*' \
  && rm -rf /var/lib/apt/lists/* /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /opt/yarn-* \
  && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin framefleet \
  && install -d -o 10001 -g 10001 /work /work/cache /work/scratch
WORKDIR /app
COPY --from=modules /app/sbom.cdx.json /usr/share/doc/framefleet/sbom.cdx.json
COPY LICENSE /usr/share/doc/framefleet/copyright
COPY --from=modules /app/node_modules node_modules
COPY package.json ./
COPY deploy/image/health.mjs ./
COPY models models
COPY --from=build /build/dist dist
ENV NODE_ENV=production \
    FRAMEFLEET_HOST=0.0.0.0 \
    FRAMEFLEET_CACHE_DIR=/work/cache \
    FRAMEFLEET_SCRATCH_DIR=/work/scratch
# The only place besides /tmp that is written to: the root may be read-only.
VOLUME /work
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["node", "health.mjs"]
ENTRYPOINT ["tini", "-s", "--"]
CMD ["node", "dist/producer/main.js"]
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="framefleet" \
      org.opencontainers.image.description="Every frame of a video, scored by a deep-learning model: producer, stitcher, autoscaler" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM framefleet AS framefleet-worker
LABEL org.opencontainers.image.title="framefleet-worker" \
      org.opencontainers.image.description="Scores batches of frames on the processor"
CMD ["node", "dist/worker/main.js"]

# CUDA, cuDNN and ONNX Runtime's use of them, as NVIDIA and Microsoft put them on PyPI. The runtime's own install script would
# fetch the last from elsewhere, unchecked; here every file is known by its hash, and no other Debian or ffmpeg comes along.
# Two libraries are looked for by names without a version, too.
FROM ${NODE_IMAGE} AS cuda
WORKDIR /cuda
RUN apt-get update \
  && apt-get install -y --no-install-recommends 'python3-pip=23.*' \
  && rm -rf /var/lib/apt/lists/*
COPY deploy/image/cuda-requirements.txt ./
RUN pip3 install --no-cache-dir --no-deps --require-hashes --only-binary=:all: --target=/wheels --requirement=cuda-requirements.txt \
  && mkdir lib runtime \
  && mv /wheels/nvidia/cu13/lib/*.so* /wheels/nvidia/cudnn/lib/*.so* lib/ \
  && rm lib/libnvblas.so.* lib/libcufftw.so.* lib/*.alt.so.* \
  && ln -s libcudnn.so.9 lib/libcudnn.so \
  && ln -s libnvrtc.so.13 lib/libnvrtc.so \
  && mv /wheels/onnxruntime/capi/libonnxruntime_providers_cuda.so \
        /wheels/onnxruntime/capi/libonnxruntime_providers_shared.so runtime/ \
  && rm -rf /wheels

FROM framefleet-worker AS framefleet-worker-cuda
USER 0:0
COPY --from=cuda /cuda/lib /usr/local/lib/cuda
COPY --from=cuda /cuda/runtime node_modules/onnxruntime-node/bin/napi-v6/linux/x64
RUN echo /usr/local/lib/cuda > /etc/ld.so.conf.d/cuda.conf && ldconfig
USER 10001:10001
# Read by NVIDIA's container runtime, which brings the driver along: 580 or later, as CUDA 13 wants.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
LABEL org.opencontainers.image.title="framefleet-worker-cuda" \
      org.opencontainers.image.description="Scores batches of frames on a GPU: CUDA 13, cuDNN 9, from Turing on"
