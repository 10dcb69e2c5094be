"""What the tests share: model builders and reference runners."""
