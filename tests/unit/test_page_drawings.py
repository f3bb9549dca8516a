"""The drawings of the data page: lags, hours, spark lines."""

import re

from day_view import (
    lag,
)

from validation.pages.charts import (
    duration,
    hour_columns,
    lag_curve,
    lag_quantiles,
    outside_hours,
    spark,
)


def test_the_quantiles_of_a_lag_are_read_off_its_points():
    assert lag_quantiles(lag(1.0)) == [(0.5, "15 min"), (0.9, "30 min"), (0.99, "45 min")]
    assert lag_quantiles(lag(168.0)) == [(0.5, "42 h"), (0.9, "3.5 days"), (0.99, "5.2 days")]
    assert duration(float("nan")) == "–"


def test_a_lag_is_drawn_in_the_unit_of_its_window():
    assert "by minutes after the display" in lag_curve(lag(1.0), "clicks")
    assert "by hours after the display" in lag_curve(lag(24.0), "clicks")
    assert "by days after the display" in lag_curve(lag(168.0), "conversions")


def test_an_hour_outside_its_band_is_named_and_one_without_a_band_is_not():
    hours = [{"hour": 0, "impressions": 5, "unfit": 0}, {"hour": 1, "impressions": 50, "unfit": 0}]
    bands = [(10.0, 90.0), (10.0, 90.0), None, (0.0, 4.0), (1.0, 4.0)]
    assert outside_hours(hours, bands) == [0, 4]
    assert outside_hours(hours, [None] * 24) is None
    assert hour_columns(hours, bands).count('class="band"') == 4


def test_a_spark_line_tells_none_failed_from_not_known():
    drawn = spark([None, 0, 4, 8], "says")
    assert re.findall(r'class="(unknown|quiet|lost-day)"', drawn) == [
        "unknown", "quiet", "lost-day", "lost-day",
    ]  # fmt: skip
    heights = re.findall(r' height="([\d.]+)"', drawn)[1:]
    assert float(heights[3]) == 2 * float(heights[2])


def test_columns_are_as_high_as_their_displays():
    drawing = hour_columns([{"hour": 3, "impressions": 50, "unfit": 50}])
    rects = re.findall(r'class="(amount|lost)".*? height="([\d.]+)"', drawing)
    assert [name for name, _ in rects] == ["amount", "lost"]
    assert rects[0][1] == rects[1][1]
    assert "most at 03:00 with 100; 23 hours without any" in drawing
