# docker build -f docker/cuda.Dockerfile -t jaxstyle:cuda .
# docker run --rm --gpus all -v "$PWD:/work" jaxstyle:cuda stylize photo.jpg painting.jpg -o out.png
FROM python:3.13-slim
COPY . /src
RUN pip install --no-cache-dir "/src[heif,cuda13]" && rm -r /src && useradd --uid 1000 --create-home painter
USER 1000
# CUDA comes with the wheels; the host needs the driver and its container toolkit only.
# Downloads and compiled programs; mount a volume here to keep them.
ENV JAXSTYLE_CACHE=/home/painter/cache
WORKDIR /work
ENTRYPOINT ["jaxstyle"]
CMD ["--help"]
