"""Lines are written; `url=base_url`, the token after its own scheme word `Token`."""

from influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS

from connvault_jupyter import connection

handle = connection("influxdb")
client = InfluxDBClient(url=handle.base_url, token=handle.token, org="shop")
client.write_api(write_options=SYNCHRONOUS).write(bucket="birds", record="seen,kind=wren n=1")
