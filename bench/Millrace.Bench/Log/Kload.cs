using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Millrace.Bench.Log;

/// <summary>The open-loop load and check program on the franz-go client, the same for every contender.</summary>
internal sealed class Kload(string engines)
{
    /// <summary>Records of 100 bytes, 1,000 keys, idempotent, acks=all.</summary>
    /// <param name="rate">Records a second; 0 is full speed.</param>
    public Task<JsonNode> ProduceAsync(
        Contender contender, string topic, long count, double rate, string linger, CancellationToken cancellation, int size = 100) =>
        RunAsync(
            [
                "produce", "-brokers", contender.Brokers, "-topic", topic, "-n", Text(count), "-size", Text(size), "-rate", Text(rate), "-linger", linger,
                "-acks", "all", "-idempotent=true", "-keys", "1000",
            ],
            cancellation);

    public Task<JsonNode> ConsumeAsync(Contender contender, string topic, long count, CancellationToken cancellation) =>
        RunAsync(["consume", "-brokers", contender.Brokers, "-topic", topic, "-n", Text(count)], cancellation);

    private async Task<JsonNode> RunAsync(string[] arguments, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(Path.Combine(engines, "go/kload")) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(cancellation);
            var errors = process.StandardError.ReadToEndAsync(cancellation);
            await process.WaitForExitAsync(cancellation);
            if (process.ExitCode != 0)
                throw new InvalidOperationException($"kload {string.Join(' ', arguments)} ended with {process.ExitCode}: {await errors}");
            var line = JsonNode.Parse((await output).Trim().Split('\n')[^1])!;
            return line["failed"] is { } failed && (long)failed > 0
                ? throw new InvalidOperationException($"kload {string.Join(' ', arguments)}: {line.ToJsonString()}")
                : line;
        }
        finally
        {
            if (!process.HasExited)
                process.Kill();
        }
    }

    private static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);
}
