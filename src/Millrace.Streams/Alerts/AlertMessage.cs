using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Millrace.Streams.Checkpoints;

namespace Millrace.Streams.Alerts;

/// <summary>Alerts of other rooms, in the same words to the same receivers as those of pipelines.</summary>
public static class AlertBody
{
    /// <param name="source">Who watches, as label <c>pipeline</c>.</param>
    /// <param name="receiver">The target's name.</param>
    /// <param name="alert">Its name.</param>
    /// <param name="key">What it is about, as a JSON object of labels; may be empty.</param>
    /// <param name="firing">Or over.</param>
    /// <param name="since">From when on it has been so.</param>
    /// <param name="at">Now.</param>
    /// <param name="detail">For people.</param>
    public static byte[] Of(string source, string receiver, string alert, string key, bool firing, DateTimeOffset since, DateTimeOffset at, string detail) =>
        AlertMessage.Body(source, receiver, new AlertNotice(0, alert, key, firing, since.ToUnixTimeMilliseconds() * 1000, at.ToUnixTimeMilliseconds() * 1000, detail));
}

/// <summary>The body of a webhook, in the shape of Alertmanager's (prometheus.io, Alerting, webhook_config, version 4).</summary>
internal static class AlertMessage
{
    public static byte[] Body(string pipeline, string receiver, AlertNotice notice)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            var status = notice.Firing ? "firing" : "resolved";
            writer.WriteStartObject();
            writer.WriteString("version", "4");
            writer.WriteString("groupKey", $"{pipeline}/{notice.Alert}");
            writer.WriteString("status", status);
            writer.WriteString("receiver", receiver);
            writer.WriteStartObject("groupLabels");
            writer.WriteString("alertname", notice.Alert);
            writer.WriteEndObject();
            WriteLabels(writer, "commonLabels", pipeline, notice);
            WriteAnnotations(writer, "commonAnnotations", notice);
            writer.WriteString("externalURL", "");
            writer.WriteStartArray("alerts");
            writer.WriteStartObject();
            writer.WriteString("status", status);
            WriteLabels(writer, "labels", pipeline, notice);
            WriteAnnotations(writer, "annotations", notice);
            writer.WriteString("startsAt", Instant(notice.SinceMicros));
            writer.WriteString("endsAt", notice.Firing ? "0001-01-01T00:00:00Z" : Instant(notice.AtMicros));
            writer.WriteString("generatorURL", "");
            writer.WriteString("fingerprint", Fingerprint(pipeline, notice));
            writer.WriteEndObject();
            writer.WriteEndArray();
            writer.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>One sentence for logs.</summary>
    public static string Sentence(AlertNotice notice) =>
        $"{notice.Alert}{(notice.Key.Length > 0 ? " " + notice.Key : "")} {(notice.Firing ? "is firing" : "is over")} "
        + $"(since {Instant(notice.SinceMicros)}): {notice.Detail}";

    public static string Fingerprint(string pipeline, AlertNotice notice) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{pipeline}\0{notice.Alert}\0{notice.Key}")).AsSpan(0, 8));

    private static void WriteLabels(Utf8JsonWriter writer, string name, string pipeline, AlertNotice notice)
    {
        writer.WriteStartObject(name);
        writer.WriteString("alertname", notice.Alert);
        writer.WriteString("pipeline", pipeline);
        if (notice.Key.Length > 0)
        {
            using var key = JsonDocument.Parse(notice.Key);
            foreach (var label in key.RootElement.EnumerateObject())
                writer.WriteString(label.Name, label.Value.ToString());
        }
        writer.WriteEndObject();
    }

    private static void WriteAnnotations(Utf8JsonWriter writer, string name, AlertNotice notice)
    {
        writer.WriteStartObject(name);
        writer.WriteString("summary", Sentence(notice));
        writer.WriteString("row", notice.Detail);
        writer.WriteEndObject();
    }

    private static string Instant(long micros) =>
        DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(micros / 1000, -62_135_596_800_000, 253_402_300_799_999))
            .UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
}
