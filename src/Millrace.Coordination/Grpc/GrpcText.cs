using System.Globalization;
using System.Text;

namespace Millrace.Coordination.Grpc;

/// <summary>The texts in gRPC's headers (grpc/grpc, doc/PROTOCOL-HTTP2.md).</summary>
internal static class GrpcText
{
    /// <summary>grpc-message: UTF-8, all but printable ASCII and the percent sign as %XX.</summary>
    public static string EncodeMessage(string text)
    {
        var isPlain = true;
        foreach (var c in text)
            isPlain &= c is >= ' ' and <= '~' and not '%';
        if (isPlain)
            return text;
        var encoded = new StringBuilder();
        foreach (var b in Encoding.UTF8.GetBytes(text))
        {
            if (b is >= 0x20 and <= 0x7E and not (byte)'%')
                encoded.Append((char)b);
            else
                encoded.Append('%').Append(b.ToString("X2", CultureInfo.InvariantCulture));
        }
        return encoded.ToString();
    }

    public static string DecodeMessage(string text)
    {
        if (!text.Contains('%', StringComparison.Ordinal))
            return text;
        var bytes = new List<byte>();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '%' && i + 2 < text.Length
                && byte.TryParse(text.AsSpan(i + 1, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var b))
            {
                bytes.Add(b);
                i += 2;
            }
            else
            {
                bytes.Add((byte)text[i]);
            }
        }
        return Encoding.UTF8.GetString([.. bytes]);
    }

    /// <summary>grpc-timeout: at most eight digits and a unit.</summary>
    public static bool TryParseTimeout(string text, out TimeSpan timeout)
    {
        timeout = default;
        if (text.Length is < 2 or > 9 || !long.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var count))
            return false;
        double seconds = text[^1] switch
        {
            'H' => 3600,
            'M' => 60,
            'S' => 1,
            'm' => 1e-3,
            'u' => 1e-6,
            'n' => 1e-9,
            _ => -1,
        };
        if (seconds < 0)
            return false;
        // Timers of the runtime end at about 49 days.
        timeout = TimeSpan.FromSeconds(Math.Min(count * seconds, 40d * 24 * 3600));
        return true;
    }

    public static string FormatTimeout(TimeSpan timeout) =>
        Math.Clamp((long)Math.Ceiling(timeout.TotalMilliseconds), 1, 99_999_999).ToString(CultureInfo.InvariantCulture) + "m";
}
