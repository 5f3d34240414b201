"""A file is written and globbed; a boto3 session with the variables of `handle.env()`."""

import os

from connvault_jupyter import connection

handle = connection("s3")
os.environ.update(handle.env())
from cloudpathlib import S3Client, S3Path

client = S3Client(endpoint_url=os.environ["AWS_ENDPOINT_URL"])
S3Path("s3://tried/by-cloudpathlib/a/b.txt", client=client).write_text("hello")
found = list(S3Path("s3://tried/by-cloudpathlib/", client=client).glob("**/*.txt"))
assert [path.name for path in found] == ["b.txt"]
