using System.Globalization;

namespace Millrace.Streams.Sql;

/// <summary>Durations as people write them: <c>500ms</c>, <c>5s</c>, <c>1m</c>, <c>1h30m</c>, <c>2d</c>.</summary>
public static class DurationText
{
    /// <summary>What the hint of every refused duration says.</summary>
    public const string Hint = "write a number and a unit: 500ms, 5s, 1m, 1h, 2d";

    private static readonly (string Unit, TimeSpan Size)[] Units =
    [
        ("ms", TimeSpan.FromMilliseconds(1)), ("s", TimeSpan.FromSeconds(1)), ("m", TimeSpan.FromMinutes(1)),
        ("h", TimeSpan.FromHours(1)), ("d", TimeSpan.FromDays(1)),
    ];

    /// <summary>Parses a positive duration of at most 3,650 days. <paramref name="problem"/> says what is wrong.</summary>
    public static bool TryParse(string text, out TimeSpan duration, out string problem)
    {
        duration = default;
        problem = "";
        var at = 0;
        while (at < text.Length)
        {
            var digits = at;
            while (at < text.Length && char.IsAsciiDigit(text[at]))
                at++;
            var letters = at;
            while (at < text.Length && char.IsAsciiLetter(text[at]))
                at++;
            var unit = Array.Find(Units, u => u.Unit == text[letters..at]);
            if (letters == digits || unit.Unit is null)
            {
                problem = letters == digits
                    ? $"'{text}' is not a duration"
                    : $"'{text}' is not a duration: {(at == letters ? "it has no unit" : $"there is no unit '{text[letters..at]}'")}";
                return false;
            }
            if (!long.TryParse(text.AsSpan(digits, letters - digits), CultureInfo.InvariantCulture, out var count)
                || count > TimeSpan.FromDays(3650) / unit.Size)
            {
                problem = $"'{text}' is more than 3650 days";
                return false;
            }
            duration += count * unit.Size;
        }
        if (duration <= TimeSpan.Zero)
            problem = text.Length == 0 ? "a duration is missing" : $"'{text}' is not longer than zero";
        else if (duration > TimeSpan.FromDays(3650))
            problem = $"'{text}' is more than 3650 days";
        return problem.Length == 0;
    }

    /// <summary>The shortest way to write a duration, e.g. <c>90s</c>, <c>1m</c>, <c>250ms</c>.</summary>
    public static string Write(TimeSpan duration)
    {
        for (var i = Units.Length - 1; i > 0; i--)
        {
            if (duration.Ticks % Units[i].Size.Ticks == 0)
                return (duration.Ticks / Units[i].Size.Ticks).ToString(CultureInfo.InvariantCulture) + Units[i].Unit;
        }
        return ((long)duration.TotalMilliseconds).ToString(CultureInfo.InvariantCulture) + "ms";
    }
}
