# Compresses the photos of the folder that is mounted at /photos:
#
#   docker build -t sclc .
#   docker run --rm --network none --user "$(id -u)" -v "$PWD:/photos" \
#     sclc compress photo.jpg
#
# Python 3.12, as the package then does without TensorFlow, which only the
# preparation of data sets needs: that keeps the image small.
FROM python:3.12-slim

COPY . /src
RUN pip install --no-cache-dir /src && rm -rf /src

# Where compiled programs are kept: mount a volume there to keep them from one
# run to the next.
ENV XDG_CACHE_HOME=/tmp/cache
WORKDIR /photos
ENTRYPOINT ["sclc"]
CMD ["--help"]
