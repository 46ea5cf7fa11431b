# docker build -f docker/cpu.Dockerfile -t jaxstyle .
# docker run --rm -v "$PWD:/work" jaxstyle stylize photo.jpg painting.jpg -o out.png
FROM python:3.13-slim
COPY . /src
RUN pip install --no-cache-dir "/src[heif]" && rm -r /src && useradd --uid 1000 --create-home painter
USER 1000
# Downloads and compiled programs; mount a volume here to keep them.
ENV JAXSTYLE_CACHE=/home/painter/cache
WORKDIR /work
ENTRYPOINT ["jaxstyle"]
CMD ["--help"]
