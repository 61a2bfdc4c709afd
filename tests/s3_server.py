"""A real S3 server in its own process, for tests: moto's, with one bucket named `bucket`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyarrow import fs

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield the query of the server's address. Its credentials are in the environment meanwhile."""
    program = (
        "import signal; from moto.server import ThreadedMotoServer as Server; "
        "server = Server('127.0.0.1', 0, verbose=False); server.start(); "
        "print(server.get_host_and_port()[1], flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        port = next(line for line in server.stdout if line.strip().isdigit()).strip()
        os.environ.update(AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_EC2_METADATA_DISABLED="true")
        try:
            query = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
            maker, _ = fs.FileSystem.from_uri(f"s3://bucket?{query}&allow_bucket_creation=true")
            maker.create_dir("bucket")
            yield query
        finally:
            server.kill()
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
                del os.environ[name]
