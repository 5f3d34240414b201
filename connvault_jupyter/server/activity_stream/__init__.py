"""The activity log as a stream to somewhere else, by the setting `activity_stream`. Runs in the server's process: the
broker, which has the keys, connects to nothing but the services of its connections."""
