"""
What a connection says: its fields read and checked, its secrets masked, its test.

In comes Airflow's ``Connection``; out go the frozen values that a delivery, a pull or a mailbox is made of.
"""
