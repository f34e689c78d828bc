"""When a cron schedule is due, in its time zone."""

from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

_FIELDS = 5  # cronsim also knows seconds, which Cloud Scheduler does not
_EXPECTED = "write minute, hour, day of the month, month and day of the week, such as '*/15 * * * *'"


def next_time(schedule: str, time_zone: str, after: float) -> float | None:
    """The first time after `after`, both in seconds since 1970; None if there is none in the next 50 years.

    A time that a change to daylight saving skips is made up for, and one that it repeats counts once.
    """
    moments = CronSim(schedule, datetime.fromtimestamp(after, ZoneInfo(time_zone)))
    following = next(moments, None)
    return None if following is None else following.timestamp()


def schedule_problem(schedule: str) -> str | None:
    """What is wrong with a schedule."""
    try:
        if len(schedule.split()) == _FIELDS:
            CronSim(schedule, datetime(2000, 1, 1))
            return None
    except CronSimError as error:
        return f"not a cron schedule: {str(error)[0].lower()}{str(error)[1:]}"
    return (
        "not a cron schedule; write minute, hour, day of the month, month and day of the week, such as '*/15 * * * *'"
    )


def is_time_zone(name: str) -> bool:
    return name in available_timezones()
