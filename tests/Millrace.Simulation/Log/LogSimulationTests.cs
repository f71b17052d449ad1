using System.Diagnostics;
using Millrace.Log.Storage;
using Xunit.Abstractions;

namespace Millrace.Simulation.Log;

/// <summary>The log through crashes: `./millrace test --simulation log [--seed N] [--for 10m]`.</summary>
public sealed class LogSimulationTests(ITestOutputHelper output)
{
    /// <summary>Each mistake of <see cref="LogFaults"/>, and the seeds within which it must be found (several times what it takes).</summary>
    private static readonly Dictionary<string, (LogFaults Faults, int Seeds, Func<LogPlan, LogPlan> Focus)> Bugs = new()
    {
        ["skip flush"] = (new LogFaults { SkipFlush = true }, 50, p => p),
        ["acknowledge early"] = (new LogFaults { AcknowledgeEarly = true }, 200, p => p),
        ["ignore failed flush"] = (new LogFaults { IgnoreFailedFlush = true }, 400, p => p with { FailedFlush = 1, PowerFailures = 1 }),
        ["free journal early"] = (new LogFaults { FreeJournalEarly = true }, 100, p => p with { JournalBytes = 2_000 }),
        ["leave tails"] = (new LogFaults { LeaveTails = true }, 100, p => p with { JournalBytes = 2_000 }),
        ["skip folder flush"] = (new LogFaults { SkipFolderFlush = true }, 400, p => p),
        ["forget producers"] = (new LogFaults { ForgetProducers = true }, 200, p => p with { JournalBytes = 2_000 }),
        ["drop marker"] = (new LogFaults { DropMarker = true }, 50, p => p),
        ["end piecemeal"] = (new LogFaults { EndPiecemeal = true }, 400, p => p),
        ["add without writing"] = (new LogFaults { AddWithoutWriting = true }, 400, p => p),
        ["compact newest"] = (new LogFaults { CompactNewest = true }, 100, p => p),
        ["compact keeps aborted"] = (new LogFaults { CompactKeepsAborted = true }, 400, p => p with { StepsEach = 600, Transactors = 3 }),
        ["remember refused"] = (new LogFaults { RememberRefused = true }, 200, p => p with { FullDisk = true, Pipelines = 2 }),
        ["keep refused"] = (new LogFaults { KeepRefused = true }, 400, p => p with { FullDisk = true, PowerFailures = 0.3 }),
        ["leave refused"] = (new LogFaults { LeaveRefused = true }, 200, p => p with { FullDisk = true, FullEach = 12, PowerFailures = 0, JournalBytes = 12_000, TailBytes = 0, Pipelines = 2, Lives = 8 }),
        ["leave first"] = (new LogFaults { LeaveFirst = true }, 400, p => p with { LosesCheckpoints = true, JournalBytes = 3_000, TailBytes = 0, Lives = 8 }),
        ["take damage for torn"] = (new LogFaults { TakeDamageForTorn = true }, 100, p => p with { Rot = true }),
        ["skip read check"] = (new LogFaults { SkipReadCheck = true }, 50, p => p with { Rot = true }),
        ["stop at damage"] = (new LogFaults { StopAtDamage = true }, 100, p => p with { Rot = true }),
        ["answer duplicates at once"] = (new LogFaults { AnswerDuplicateAtOnce = true }, 200, p => p with { Pipelines = 3 }),
        ["short window"] = (new LogFaults { ShortWindow = true }, 50, p => p with { Pipelines = 3 }),
        ["trust the clock"] = (new LogFaults { TrustTheClock = true }, 100, p => p with { ClockJumps = true, Pipelines = 3, ClassicMembers = 4, Ghosts = true }),
        ["delete young"] = (new LogFaults { DeleteYoung = true }, 200, p => p with { Aging = true }),
        ["delete unsaved"] = (new LogFaults { DeleteUnsaved = true }, 400, p => p with { Aging = true }),
        ["swap unflushed"] = (new LogFaults { SwapUnflushed = true }, 400, p => p),
        ["accept stale commits"] = (new LogFaults { AcceptStaleCommits = true }, 200, p => p with { ClassicMembers = 5, ConsumerMembers = 5 }),
        ["keep old instance"] = (new LogFaults { KeepOldInstance = true }, 400, p => p with { ClassicMembers = 5, StaticEach = 1 }),
        ["give before revoked"] = (new LogFaults { GiveBeforeRevoked = true }, 100, p => p with { ConsumerMembers = 5 }),
        ["tell unwritten"] = (new LogFaults { TellUnwritten = true }, 800, p => p with { ClassicMembers = 5, ConsumerMembers = 5 }),
        ["forget members"] = (new LogFaults { ForgetMembers = true }, 400, p => p with { ClassicMembers = 5, ConsumerMembers = 5 }),
        ["offsets at once"] = (new LogFaults { OffsetsAtOnce = true }, 50, p => p),
    };

    public static TheoryData<string> Names => new(Bugs.Keys);

    [Fact]
    public void No_crash_loses_doubles_or_splits_what_was_acknowledged()
    {
        var watch = Stopwatch.StartNew();
        var runs = 0;
        long acknowledged = 0, committed = 0, refusals = 0;
        for (var seed = Seeds.First; Seeds.For is { } wanted ? watch.Elapsed < wanted : runs < (Seeds.IsChosen ? 1 : 150); seed++, runs++)
        {
            var log = new SimulatedLog(LogPlan.Draw(seed));
            log.Run();
            Assert.True(log.Violation is null, $"{log.Violation}\n{LogPlan.Draw(seed)}\nrepeat with: ./millrace test --simulation log --seed {seed}");
            acknowledged += log.Acknowledged;
            committed += log.Committed;
            refusals += log.Refusals;
        }
        var summary = $"{runs} runs from seed {Seeds.First} in {watch.Elapsed.TotalSeconds:F1} s: {acknowledged} records acknowledged, {committed} transactions committed, {refusals} starts refused for flipped bits";
        output.WriteLine(summary);
        Console.WriteLine(summary);
        Assert.True(Seeds.IsChosen || (acknowledged > 0 && committed > 0));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_planted_bug_is_found(string name)
    {
        var (faults, seeds, focus) = Bugs[name];
        for (var seed = 1; seed <= seeds; seed++)
        {
            var log = new SimulatedLog(focus(LogPlan.Draw(seed)) with { Faults = faults });
            log.Run();
            if (log.Violation is null)
                continue;
            output.WriteLine($"{name}: found by seed {seed} of {seeds}: {log.Violation}");
            return;
        }
        Assert.Fail($"{name}: not found within {seeds} seeds");
    }

    [Fact]
    public void The_page_of_compatibility_names_every_mistake()
    {
        var page = File.ReadAllText(Path.Combine(Millrace.Tests.Repository.Root, "docs/reference/kafka-compatibility.md"));
        Assert.All(Bugs.Keys, name => Assert.Contains(name, page, StringComparison.Ordinal));
        Assert.Contains($"one of {Bugs.Count} [mistakes]", page, StringComparison.Ordinal);
        // Each mistake that the log can make is one of them.
        Assert.Equal(typeof(LogFaults).GetProperties().Count(p => p.PropertyType == typeof(bool)), Bugs.Count);
    }

    [Fact]
    public void The_weather_that_brings_bugs_out_breaks_nothing_that_is_right()
    {
        foreach (var (name, (_, _, focus)) in Bugs)
        {
            for (var seed = 1; seed <= 8; seed++)
            {
                var log = new SimulatedLog(focus(LogPlan.Draw(seed)));
                log.Run();
                Assert.True(log.Violation is null, $"weather of '{name}', seed {seed}: {log.Violation}");
            }
        }
    }
}
