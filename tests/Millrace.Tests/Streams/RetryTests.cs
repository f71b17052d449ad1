using System.Globalization;
using System.Text;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.Tests.Streams;

/// <summary>Records that fail for a reason that may pass are tried again, and become dead letters when it does not.</summary>
public sealed class RetryTests(Xunit.Abstractions.ITestOutputHelper output)
{
    [Fact]
    public async Task A_record_ahead_of_the_clock_waits_through_a_restart_and_is_good_when_the_clock_is_there()
    {
        await using var bed = await StreamTestBed.StartAsync(partitions: 1);
        var time = new ShiftedTime();
        bed.Send(Order(1, TimeSpan.Zero));
        bed.Send(Order(2, TimeSpan.FromHours(2)));
        bed.Send("poison"u8.ToArray());
        bed.Send(Order(3, TimeSpan.Zero));
        bed.Flush();
        var plan = Plan(bed, new ErrorPlan { Retries = 100_000, Backoff = TimeSpan.FromMilliseconds(5), MaxBackoff = TimeSpan.FromMilliseconds(20) });
        await using (var pipeline = await StartAsync(bed, plan, time))
        {
            await StreamTestBed.UntilAsync(() => pipeline.Status.Sources is [{ Good: 2, Quarantined: 1, Waiting: 1, Retried: > 3 }], "it has been tried again", pipeline);
            Assert.Contains("offset 1: event time ts is", pipeline.Status.Sources[0].WaitingFor, StringComparison.Ordinal);
            await pipeline.StopAsync(CancellationToken.None);
        }
        await using var again = await StartAsync(bed, plan, time);
        await StreamTestBed.UntilAsync(() => again.Status.Sources is [{ Good: 2, Waiting: 1, Retried: > 5 }], "it waits again", again);
        time.Shift = TimeSpan.FromMinutes(90);
        await StreamTestBed.UntilAsync(() => again.Status.Sources is [{ Good: 3, Quarantined: 1, Waiting: 0, WaitingFor: null }], "it is good", again);
        await StreamTestBed.UntilAsync(() => bed.Table("sales.orders", "order_id").Count == 3, "the rows are in the table", again);
        Assert.Equal(["1", "2", "3"], bed.Table("sales.orders", "order_id"));
    }

    [Fact]
    public async Task A_record_that_does_not_get_better_is_a_dead_letter_after_its_attempts_and_poison_at_once()
    {
        await using var bed = await StreamTestBed.StartAsync(partitions: 1);
        bed.Send("poison"u8.ToArray());
        bed.Send(Order(7, TimeSpan.FromHours(2)));
        bed.Flush();
        var plan = Plan(bed, new ErrorPlan { Retries = 2, Backoff = TimeSpan.FromMilliseconds(5), DeadLetterTopic = bed.Name + ".dead" });
        await using var pipeline = await StartAsync(bed, plan, new ShiftedTime());
        await StreamTestBed.UntilAsync(() => pipeline.Status.Sources is [{ Quarantined: 2, Waiting: 0, Retried: 2 }], "both are dead letters", pipeline);
        await StreamTestBed.UntilAsync(() => pipeline.Status.Sinks.Any(s => s.Target == $"kafka:{bed.Name}.dead" && s.Committed == 2), "they are delivered", pipeline);
        var dead = bed.ReadTopic(bed.Name + ".dead");
        var poison = dead.Single(d => d.Value == "poison");
        Assert.Equal(("1", "0", bed.Name), (poison.Header("millrace.attempts"), poison.Header("millrace.source-offset"), poison.Header("millrace.pipeline")));
        var late = dead.Single(d => d.Value != "poison");
        Assert.Equal(
            ("3", bed.Topic, "0", "1"),
            (late.Header("millrace.attempts"), late.Header("millrace.source-topic"), late.Header("millrace.source-partition"), late.Header("millrace.source-offset")));
        Assert.Contains("ahead of the clock", late.Header("millrace.reason"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Records_for_which_there_is_no_room_do_not_wait()
    {
        await using var bed = await StreamTestBed.StartAsync(partitions: 1);
        for (var i = 0; i < 20; i++)
            bed.Send(Order(i, TimeSpan.FromHours(2)));
        bed.Flush();
        var plan = Plan(bed, new ErrorPlan { Retries = 100, Backoff = TimeSpan.FromMinutes(5), MaxBackoff = TimeSpan.FromMinutes(5), MaxWaitingBytes = 1000 });
        await using var pipeline = await StartAsync(bed, plan, new ShiftedTime());
        await StreamTestBed.UntilAsync(() => pipeline.Status.Sources is [{ In: 20 }], "all is taken in", pipeline);
        var source = pipeline.Status.Sources[0];
        Assert.InRange(source.Waiting, 2, 6);
        Assert.Equal(20, source.Waiting + source.Quarantined);
    }

    [Fact]
    public async Task Dying_anywhere_loses_and_doubles_no_record_that_waits()
    {
        var random = new Random(Seeds.Next(output));
        await using var bed = await StreamTestBed.StartAsync();
        var time = new ShiftedTime();
        var plan = Plan(bed, new ErrorPlan { Retries = 1_000_000, Backoff = TimeSpan.FromMilliseconds(3), MaxBackoff = TimeSpan.FromMilliseconds(10) });
        var sent = 0;
        for (var life = 0; life < 8; life++)
        {
            for (var i = 0; i < 60; i++)
                bed.Send(Order(sent++, i % 6 == 0 ? TimeSpan.FromHours(2) + TimeSpan.FromMinutes(10 * life) : TimeSpan.Zero));
            bed.Flush();
            var left = random.Next(1, 80);
            var failPoints = new StreamFailPoints(_ =>
            {
                if (Interlocked.Decrement(ref left) == 0)
                    throw new IOException("the process dies");
            });
            await using var pipeline = await StartAsync(bed, plan, time, failPoints);
            await Task.WhenAny(
                pipeline.Completion, StreamTestBed.UntilAsync(() => pipeline.Status.Sources is [var s] && s.In == sent && left < 0, "it dies or rests", null, seconds: 3));
            if (pipeline.Completion.IsFaulted)
                await Assert.ThrowsAsync<IOException>(() => pipeline.Completion);
            time.Shift += TimeSpan.FromMinutes(random.Next(20));
        }
        time.Shift = TimeSpan.FromHours(4);
        await using var last = await StartAsync(bed, plan, time);
        await StreamTestBed.UntilAsync(() => last.Status.Sources is [{ Waiting: 0 } s] && s.Good == sent, "all are good", last);
        var expected = Enumerable.Range(0, sent).Select(i => i.ToString(CultureInfo.InvariantCulture)).Order(StringComparer.Ordinal);
        await StreamTestBed.UntilAsync(() => bed.Table("sales.orders", "order_id").Count >= sent, "the rows are in the table", last);
        Assert.Equal(expected, bed.Table("sales.orders", "order_id").Order(StringComparer.Ordinal));
    }

    private static PipelinePlan Plan(StreamTestBed bed, ErrorPlan errors)
    {
        var plan = bed.Plan();
        return plan with { Sources = [plan.Sources[0] with { Errors = errors }], Queries = [], Sinks = [plan.Sinks[0]] };
    }

    private static Task<StreamPipeline> StartAsync(StreamTestBed bed, PipelinePlan plan, TimeProvider time, StreamFailPoints? failPoints = null) =>
        StreamPipeline.StartAsync(plan, bed.EnvironmentOf(failPoints) with { Time = time }, CancellationToken.None);

    private static byte[] Order(int id, TimeSpan ahead)
    {
        var at = (DateTimeOffset.UtcNow + ahead).ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
        return Encoding.UTF8.GetBytes($"{{\"order_id\":{id},\"country\":\"AT\",\"amount\":1.00,\"ts\":\"{at}\"}}");
    }

    /// <summary>The machine's clock, some time ahead.</summary>
    private sealed class ShiftedTime : TimeProvider
    {
        private long _shift;

        public TimeSpan Shift
        {
            get => TimeSpan.FromTicks(Interlocked.Read(ref _shift));
            set => Interlocked.Exchange(ref _shift, value.Ticks);
        }

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Shift;
    }
}
