"""The API and the server of the screen: routes read as sentences, repositories hold the SQL."""
