using System.Globalization;

namespace Millrace.Simulation;

/// <summary>Which seeds a run takes: MILLRACE_SEED names the first (default 1), MILLRACE_FOR how long to go on (e.g. 10m; default: a fixed number).</summary>
internal static class Seeds
{
    public static int First { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("MILLRACE_SEED"), NumberStyles.Integer, CultureInfo.InvariantCulture, out var seed)
            ? seed : 1;

    /// <summary>One seed was asked for, so only that is run.</summary>
    public static bool IsChosen { get; } = Environment.GetEnvironmentVariable("MILLRACE_SEED") is not null;

    public static TimeSpan? For { get; } = ParseSpan(Environment.GetEnvironmentVariable("MILLRACE_FOR"));

    private static TimeSpan? ParseSpan(string? text)
    {
        if (string.IsNullOrEmpty(text))
            return null;
        var number = double.Parse(text.AsSpan(0, text.Length - 1), CultureInfo.InvariantCulture);
        return text[^1] switch
        {
            's' => TimeSpan.FromSeconds(number),
            'm' => TimeSpan.FromMinutes(number),
            'h' => TimeSpan.FromHours(number),
            _ => throw new FormatException($"MILLRACE_FOR={text}: write a number and s, m or h, for instance 10m"),
        };
    }
}
