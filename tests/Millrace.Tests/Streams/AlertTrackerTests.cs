using System.Text.Json;
using Millrace.Streams.Alerts;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Plans;

namespace Millrace.Tests.Streams;

public sealed class AlertTrackerTests
{
    private const long Minute = 60_000_000;

    private readonly List<AlertNotice> _notices = [];
    private long _sequence;

    [Fact]
    public void It_fires_once_when_the_condition_held_long_enough_and_is_over_once()
    {
        var tracker = Tracker(TimeSpan.FromMinutes(3), null);
        for (var minute = 0; minute < 5; minute++)
            Observe(tracker, minute, ("AT", true), ("BE", minute % 2 == 0));
        var fired = Assert.Single(_notices);
        Assert.Equal((true, "AT", 0L, 3 * Minute), (fired.Firing, fired.Key, fired.SinceMicros, fired.AtMicros));
        Observe(tracker, 5, ("AT", false));
        Observe(tracker, 6, ("AT", false));
        Assert.Equal([true, false], _notices.Select(n => n.Firing));
        Assert.Equal([1, 2], _notices.Select(n => n.Sequence));
    }

    [Fact]
    public void What_it_knows_survives_a_restart()
    {
        var tracker = Tracker(TimeSpan.FromMinutes(2), null);
        Observe(tracker, 0, ("AT", true));
        var again = Tracker(TimeSpan.FromMinutes(2), new AlertCheckpoint { Keys = [.. tracker.Keys] });
        Observe(again, 1, ("AT", true));
        Assert.Equal(0, Assert.Single(_notices).SinceMicros);
        var third = Tracker(TimeSpan.FromMinutes(2), new AlertCheckpoint { Keys = [.. again.Keys] });
        Observe(third, 2, ("AT", true));
        Assert.Single(_notices);
        Assert.Equal(1, third.Firing);
    }

    [Fact]
    public void A_key_without_rows_stays_for_a_while_and_is_then_over_and_forgotten()
    {
        var tracker = Tracker(TimeSpan.FromMinutes(1), null);
        Observe(tracker, 0, ("gone", true), ("AT", true));
        for (var minute = 1; minute <= 10; minute++)
            Observe(tracker, minute, ("AT", true));
        Assert.Equal(2, tracker.Firing);
        Observe(tracker, 11, ("AT", true));
        var over = Assert.Single(_notices, n => !n.Firing);
        Assert.Equal(("gone", 12 * Minute), (over.Key, over.AtMicros));
        Assert.Equal("AT", Assert.Single(tracker.Keys).Key);
        // A checkpoint of before this rule knows no time of a row.
        var old = Tracker(TimeSpan.FromMinutes(1), new AlertCheckpoint { Keys = [new AlertKeyCheckpoint("old", 0, true, "{}")] });
        Observe(old, 100, ("AT", true));
        Assert.Equal(2, old.Keys.Count);
        Observe(old, 111, ("AT", true));
        Assert.Equal("AT", Assert.Single(old.Keys).Key);
    }

    [Fact]
    public void The_body_is_what_Alertmanager_posts()
    {
        var notice = new AlertNotice(7, "low_revenue", "{\"country\":\"AT\"}", true, 0, Minute, "{\"revenue\":5}");
        using var body = JsonDocument.Parse(AlertMessage.Body("orders", "ops", notice));
        Assert.Equal("4", body.RootElement.GetProperty("version").GetString());
        var alert = body.RootElement.GetProperty("alerts")[0];
        Assert.Equal("firing", alert.GetProperty("status").GetString());
        Assert.Equal("AT", alert.GetProperty("labels").GetProperty("country").GetString());
        Assert.Equal("1970-01-01T00:00:00.000Z", alert.GetProperty("startsAt").GetString());
    }

    private static AlertTracker Tracker(TimeSpan span, AlertCheckpoint? restored) =>
        new(new AlertPlan("low", "by_country", "revenue < 100", span, []), 100, TimeSpan.FromMinutes(10), restored);

    private void Observe(AlertTracker tracker, int minute, params (string Key, bool Holds)[] rows) => tracker.Observe(
        minute * Minute, (minute + 1) * Minute, rows.Select((r, i) => new AlertVerdict(r.Key, r.Holds, i)), _ => "{}", () => ++_sequence, _notices);
}
