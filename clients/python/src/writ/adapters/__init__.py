"""The identity in the field's HTTP libraries; each module needs its own library, and nothing else loads it."""
