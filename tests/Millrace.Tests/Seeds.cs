namespace Millrace.Tests;

/// <summary>Seeds of random tests: printed by failures, taken from MILLRACE_SEED.</summary>
internal static class Seeds
{
    public static int Next(Xunit.Abstractions.ITestOutputHelper output)
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("MILLRACE_SEED"), out var given) ? given : Environment.TickCount & 0x7FFFFFFF;
        output.WriteLine($"repeat with: MILLRACE_SEED={seed}");
        return seed;
    }
}
