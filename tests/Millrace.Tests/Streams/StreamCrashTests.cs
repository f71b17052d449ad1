using Millrace.Streams.Running;

namespace Millrace.Tests.Streams;

/// <summary>Pipelines that die between any two steps and begin again must leave what one that never died leaves.</summary>
public sealed class StreamCrashTests
{
    public static TheoryData<string> Places => new(StreamFailPoints.All);

    [BrokerTheory]
    [MemberData(nameof(Places))]
    public async Task Dying_at_one_place_again_and_again_loses_and_doubles_nothing(string place)
    {
        var hits = 0;
        await RunAsync(lives: 5, life => at => at == place && Interlocked.Increment(ref hits) % (2 + life) == 0);
        Assert.True(hits > 0, $"{place} was never passed");
    }

    [BrokerTheory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Dying_anywhere_loses_and_doubles_nothing(int salt)
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("MILLRACE_SEED"), out var given) ? given : Environment.TickCount + salt;
        Console.WriteLine($"MILLRACE_SEED={seed}");
        var random = new Random(seed);
        await RunAsync(lives: 12, _ =>
        {
            var left = random.Next(1, 150);
            return _ => Interlocked.Decrement(ref left) == 0;
        });
    }

    private static async Task RunAsync(int lives, Func<int, Func<string, bool>> dies)
    {
        await using var bed = await StreamTestBed.StartAsync();
        for (var life = 0; life < lives; life++)
        {
            bed.Produce(300, badEvery: 20);
            var die = dies(life);
            var failPoints = new StreamFailPoints(place =>
            {
                if (die(place))
                    throw new SimulatedCrashException(place);
            });
            await using var pipeline = await bed.StartPipelineAsync(bed.Plan(), failPoints);
            // Either it dies, or it comes to rest without having passed the place often enough.
            await Task.WhenAny(pipeline.Completion, OrderAssertions.IntakeAsync(bed, pipeline));
            if (pipeline.Completion.IsFaulted)
                await Assert.ThrowsAsync<SimulatedCrashException>(() => pipeline.Completion);
        }
        bed.CloseAllWindows();
        await using var last = await bed.StartPipelineAsync(bed.Plan());
        await OrderAssertions.SettledAsync(bed, last);
        OrderAssertions.Exact(bed, last);
    }

    private sealed class SimulatedCrashException(string place) : Exception("the process dies at " + place);
}
