"""
Sensors: tasks that wait until records are there.

In come a mailbox and a consumer; out goes how many records wait, once there are enough.
"""
