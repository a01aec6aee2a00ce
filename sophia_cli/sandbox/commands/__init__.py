"""The API's commands, each a pure function from a call to a result; one topic a file."""
