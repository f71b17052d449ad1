using Millrace.Streams.Running;

namespace Millrace.Tests.Streams;

/// <summary>Pipelines that die between any two steps and begin again must leave what one that never died leaves.</summary>
public sealed class StreamCrashTests(Xunit.Abstractions.ITestOutputHelper output)
{
    [Fact]
    public async Task Dying_at_every_place_in_turn_loses_and_doubles_nothing()
    {
        var places = new Queue<string>(StreamFailPoints.All);
        var again = false;
        // Every other place is passed once before it kills. A life that comes to rest before the second time is followed by one that
        // dies at the first.
        await RunAsync(2 * StreamFailPoints.All.Count, _ =>
        {
            if (!places.TryPeek(out var place))
                return null;
            var left = again || places.Count % 2 == 1 ? 1 : 2;
            again = true;
            return at =>
            {
                if (at != place || Interlocked.Decrement(ref left) != 0)
                    return false;
                again = false;
                places.Dequeue();
                return true;
            };
        });
        Assert.Empty(places);
    }

    /// <summary>MILLRACE_ROUNDS asks for more lives.</summary>
    [Fact]
    public async Task Dying_anywhere_loses_and_doubles_nothing()
    {
        var seed = Seeds.Next(output);
        var lives = int.TryParse(Environment.GetEnvironmentVariable("MILLRACE_ROUNDS"), out var rounds) ? rounds : 6;
        var random = new Random(seed);
        await RunAsync(lives, _ =>
        {
            var left = random.Next(1, 120);
            return _ => Interlocked.Decrement(ref left) == 0;
        });
    }

    private static async Task RunAsync(int lives, Func<int, Func<string, bool>?> dies)
    {
        await using var bed = await StreamTestBed.StartAsync();
        for (var life = 0; life < lives; life++)
        {
            if (dies(life) is not { } die)
                break;
            bed.Produce(300, badEvery: 20);
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
