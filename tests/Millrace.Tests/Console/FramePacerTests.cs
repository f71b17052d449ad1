using Millrace.WebConsole.Events;

namespace Millrace.Tests.WebConsole;

public sealed class FramePacerTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    [Fact]
    public void Under_steady_change_the_kinds_alternate_half_an_interval_apart()
    {
        var sent = Run(changes: Enumerable.Range(0, 1000).Select(ms => TimeSpan.FromMilliseconds(ms)));
        Assert.InRange(sent.Count, 20, 22);
        for (var i = 1; i < sent.Count; i++)
        {
            Assert.NotEqual(sent[i - 1].Kind, sent[i].Kind);
            Assert.Equal(Interval / 2, sent[i].At - sent[i - 1].At);
        }
    }

    [Fact]
    public void Nothing_goes_out_when_nothing_is_wanted()
    {
        Assert.Null(new FramePacer(Interval).Next(TimeSpan.FromSeconds(5)));
    }

    [Fact]
    public void After_silence_a_change_goes_out_at_once_in_both_kinds()
    {
        var sent = Run([TimeSpan.FromSeconds(7)]);
        Assert.Equal([TimeSpan.FromSeconds(7), TimeSpan.FromMilliseconds(7050)], sent.Select(s => s.At));
        Assert.Equal(2, sent.Select(s => s.Kind).Distinct().Count());
    }

    [Fact]
    public void No_kind_passes_its_rate_and_every_change_is_told_under_random_changes()
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        for (var round = 0; round < 200; round++)
        {
            var at = TimeSpan.Zero;
            var changes = new List<TimeSpan>();
            for (var i = 0; i < 100; i++)
                changes.Add(at += TimeSpan.FromMilliseconds(random.Next(random.Next(3) == 0 ? 400 : 30)));
            var sent = Run(changes);
            foreach (var kind in Enum.GetValues<FrameKind>())
            {
                var times = sent.Where(s => s.Kind == kind).Select(s => s.At).ToArray();
                for (var i = 1; i < times.Length; i++)
                    Assert.True(times[i] - times[i - 1] >= Interval, $"seed {seed}, round {round}: {kind} at {times[i - 1]} and {times[i]}");
                foreach (var change in changes)
                    Assert.Contains(times, t => t >= change && t <= change + Interval);
            }
            foreach (var change in changes)
                Assert.Contains(sent, s => s.At >= change && s.At <= change + (Interval / 2));
        }
    }

    /// <summary>Plays the hub's loop on a list of change times, in steps of a millisecond.</summary>
    private static List<(FrameKind Kind, TimeSpan At)> Run(IEnumerable<TimeSpan> changes)
    {
        var pacer = new FramePacer(Interval);
        var sent = new List<(FrameKind, TimeSpan)>();
        var queue = new Queue<TimeSpan>(changes);
        for (var now = queue.Peek(); queue.Count > 0 || pacer.Next(now) is not null; now += TimeSpan.FromMilliseconds(1))
        {
            while (queue.Count > 0 && queue.Peek() <= now)
            {
                queue.Dequeue();
                pacer.Want(FrameKind.Overview);
                pacer.Want(FrameKind.Output);
            }
            while (pacer.Next(now) is { } next && next.Due <= now)
            {
                pacer.Take(next.Kind);
                pacer.Sent(next.Kind, now);
                sent.Add((next.Kind, now));
            }
        }
        return sent;
    }
}
