using System.Globalization;

namespace Millrace.Tests;

/// <summary>
/// Seeds of random tests. A build is judged on the same inputs each time (seed 1), so that a red one means that the change is at fault; `--long` draws a seed
/// and more rounds to explore, `--seed N` (MILLRACE_SEED) repeats one.
/// </summary>
internal static class Seeds
{
    public static bool IsLong { get; } = Environment.GetEnvironmentVariable("MILLRACE_LONG") is not null;

    /// <summary>The seed of this run; the output says how to repeat it.</summary>
    public static int Next(Xunit.Abstractions.ITestOutputHelper output)
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("MILLRACE_SEED"), NumberStyles.Integer, CultureInfo.InvariantCulture, out var given) ? given
            : IsLong ? Random.Shared.Next()
            : 1;
        output.WriteLine($"repeat with: MILLRACE_SEED={seed.ToString(CultureInfo.InvariantCulture)}");
        return seed;
    }

    public static int Rounds(int quick, int @long) => IsLong ? @long : quick;
}
