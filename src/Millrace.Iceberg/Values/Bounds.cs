using System.Text;

namespace Millrace.Iceberg.Values;

/// <summary>Shortened lower and upper bounds of long values (Iceberg's metrics mode truncate(n)).</summary>
public static class Bounds
{
    /// <summary>Iceberg's default metrics mode.</summary>
    public const int DefaultLength = 16;

    public static string LowerText(string value, int length = DefaultLength) => Transform.TruncateText(value, length);

    /// <summary>The cut value with its last code point raised (carrying left), or null when no code point can rise.</summary>
    public static string? UpperText(string value, int length = DefaultLength)
    {
        var cut = Transform.TruncateText(value, length);
        if (cut.Length == value.Length)
            return value;
        var runes = cut.EnumerateRunes().ToArray();
        for (var last = runes.Length - 1; last >= 0; last--)
        {
            var next = runes[last].Value + 1;
            // Surrogates are no code points of their own.
            if (next == 0xD800)
                next = 0xE000;
            if (next > 0x10FFFF)
                continue;
            var text = new StringBuilder();
            for (var i = 0; i < last; i++)
                text.Append(runes[i].ToString());
            return text.Append(new Rune(next).ToString()).ToString();
        }
        return null;
    }

    public static byte[] LowerBytes(byte[] value, int length = DefaultLength) => value.Length <= length ? value : value[..length];

    /// <summary>The cut value with its last byte below 0xFF raised, or null when there is none.</summary>
    public static byte[]? UpperBytes(byte[] value, int length = DefaultLength)
    {
        if (value.Length <= length)
            return value;
        for (var last = length - 1; last >= 0; last--)
        {
            if (value[last] == 0xFF)
                continue;
            var raised = value[..(last + 1)];
            raised[last]++;
            return raised;
        }
        return null;
    }
}
