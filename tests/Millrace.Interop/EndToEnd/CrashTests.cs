using System.Globalization;
using Millrace.Bench.EndToEnd;
using Millrace.Bench.Running;
using Xunit.Abstractions;

namespace Millrace.Interop.EndToEnd;

/// <summary>The short slice of <c>./millrace bench e2e</c>'s kills: the real process, SIGKILL, a producer that goes on.</summary>
public sealed class CrashTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Nothing_is_lost_or_doubled_when_the_platform_is_killed_again_and_again()
    {
        var kills = int.TryParse(Environment.GetEnvironmentVariable("MILLRACE_KILLS"), out var asked) ? asked : 20;
        var seed = int.TryParse(Environment.GetEnvironmentVariable("MILLRACE_SEED"), out var given) ? given : Environment.TickCount & 0xFFFF;
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"repeat with: ./millrace test --interop endToEnd --seed {seed}"));
        var folder = Directory.CreateTempSubdirectory("millrace-crash-").FullName;
        try
        {
            await using var platform = PlatformProcess.Create(folder);
            var outcome = await CrashRun.RunAsync(platform, kills, seed, output.WriteLine, CancellationToken.None);
            Assert.True(outcome.Records > 0);
            Assert.True(
                outcome.Differences.Count == 0,
                $"{outcome.Differences.Count} differences after {outcome.Records} records, seed {seed}:\n" + string.Join('\n', outcome.Differences.Take(20)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
