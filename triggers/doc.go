package triggers
