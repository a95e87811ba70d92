"""What a plugin's author tests with: contract suites, and real ssh nodes on loopback."""
