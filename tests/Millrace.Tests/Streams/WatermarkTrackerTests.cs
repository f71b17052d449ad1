using Millrace.Streams.Sources;

namespace Millrace.Tests.Streams;

public sealed class WatermarkTrackerTests
{
    private const long Second = 1_000_000;

    private readonly WatermarkTracker _tracker = new(TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(10));

    [Fact]
    public void The_watermark_is_the_least_over_partitions_less_the_delay()
    {
        _tracker.Assign(0, 0, WatermarkTracker.None, 0);
        _tracker.Assign(1, 0, WatermarkTracker.None, 0);
        _tracker.Observe(0, 100 * Second, 10, 1);
        Assert.Equal(WatermarkTracker.None, _tracker.Advance(1));
        _tracker.Observe(1, 80 * Second, 10, 2);
        Assert.Equal(75 * Second, _tracker.Advance(2));
        _tracker.Observe(1, 60 * Second, 11, 3);
        Assert.Equal(75 * Second, _tracker.Advance(3));
    }

    [Fact]
    public void A_silent_partition_holds_back_until_it_is_read_to_its_end_and_idle_long_enough()
    {
        _tracker.Assign(0, 0, WatermarkTracker.None, 0);
        _tracker.Assign(1, 7, WatermarkTracker.None, 0);
        _tracker.Observe(0, 100 * Second, 10, 20_000);
        Assert.Equal(WatermarkTracker.None, _tracker.Advance(60_000));
        _tracker.SetEnd(1, 9);
        Assert.Equal(WatermarkTracker.None, _tracker.Advance(60_001));
        _tracker.SetEnd(1, 7);
        _tracker.Observe(0, 101 * Second, 11, 60_002);
        Assert.Equal(96 * Second, _tracker.Advance(60_002));
    }

    [Fact]
    public void A_partition_that_just_fell_silent_still_holds_back()
    {
        _tracker.Assign(0, 0, WatermarkTracker.None, 0);
        _tracker.Assign(1, 0, WatermarkTracker.None, 0);
        _tracker.Observe(0, 10 * Second, 1, 0);
        _tracker.Observe(1, 10 * Second, 1, 0);
        _tracker.SetEnd(0, 1);
        _tracker.SetEnd(1, 1);
        _tracker.Observe(0, 50 * Second, 2, 9_000);
        Assert.Equal(5 * Second, _tracker.Advance(9_999));
        Assert.Equal(45 * Second, _tracker.Advance(10_000));
    }

    [Fact]
    public void When_all_are_idle_the_greatest_counts()
    {
        _tracker.Assign(0, 0, 10 * Second, 0);
        _tracker.Assign(1, 0, 30 * Second, 0);
        _tracker.SetEnd(0, 0);
        _tracker.SetEnd(1, 0);
        Assert.Equal(5 * Second, _tracker.Advance(0));
        Assert.Equal(25 * Second, _tracker.Advance(10_000));
    }

    [Fact]
    public void A_restart_goes_on_from_the_checkpoint_and_a_backlog_makes_nothing_late()
    {
        var tracker = new WatermarkTracker(TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(10), restored: 40 * Second);
        tracker.Assign(0, 500, 45 * Second, 0);
        tracker.Assign(1, 500, 45 * Second, 0);
        // Partition 0 is read far ahead while partition 1, whose end is not known yet, has given nothing for minutes.
        tracker.Observe(0, 4000 * Second, 9000, 100_000);
        Assert.Equal(40 * Second, tracker.Advance(200_000));
        tracker.SetEnd(1, 9000);
        Assert.Equal(40 * Second, tracker.Advance(300_000));
    }

    [Fact]
    public void A_partition_that_another_member_took_holds_the_watermark()
    {
        _tracker.Assign(0, 0, 10 * Second, 0);
        _tracker.Assign(1, 0, 10 * Second, 0);
        _tracker.SetEnd(1, 0);
        _tracker.Revoke(1);
        _tracker.Observe(0, 100 * Second, 10, 100_000);
        Assert.Equal(5 * Second, _tracker.Advance(100_000));
    }
}
