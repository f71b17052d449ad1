using System.Globalization;

namespace Millrace.Pipelines.Language;

/// <summary>Sizes as people write them: <c>512KiB</c>, <c>1MiB</c>, <c>1MB</c>, <c>100000</c> (bytes).</summary>
public static class ByteSizeText
{
    public const string Hint = "write a number and a unit: 512KiB, 16MiB, 1GiB";

    private static readonly (string Unit, long Size)[] Units =
    [
        ("KIB", 1L << 10), ("MIB", 1L << 20), ("GIB", 1L << 30), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("B", 1), ("", 1),
    ];

    /// <summary>Parses a size above zero and up to 1 TiB.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        var upper = text.Trim().ToUpperInvariant();
        foreach (var (unit, size) in Units)
        {
            if (!upper.EndsWith(unit, StringComparison.Ordinal))
                continue;
            if (!long.TryParse(upper[..^unit.Length].TrimEnd(), NumberStyles.None, CultureInfo.InvariantCulture, out var count))
                return false;
            if (count == 0 || count > (1L << 40) / size)
                return false;
            bytes = count * size;
            return true;
        }
        return false;
    }
}
