using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Millrace.Tests;

namespace Millrace.Interop.Log;

/// <summary>A fact that needs a program on the path, e.g. <c>kcat</c>; skipped by name where it is absent.</summary>
internal sealed class ProgramFactAttribute : FactAttribute
{
    public ProgramFactAttribute(string program)
    {
        if (!Programs.IsInstalled(program))
            Skip = $"needs {program} on the path";
    }
}

/// <summary>Likewise for a theory.</summary>
internal sealed class ProgramTheoryAttribute : TheoryAttribute
{
    public ProgramTheoryAttribute(string program)
    {
        if (!Programs.IsInstalled(program))
            Skip = $"needs {program} on the path";
    }
}

/// <summary>Runs other programs to their end and gives what they wrote.</summary>
internal static class Programs
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    public static bool IsInstalled(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, program)));

    /// <summary>Standard output; fails the test when the program does not end with 0.</summary>
    public static async Task<string> RunAsync(string program, string? input, params string[] arguments)
    {
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        if (input is not null)
            await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new Xunit.Sdk.XunitException($"{program} {string.Join(' ', arguments)} did not end:\n{await output}\n{await errors}");
        }
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{await output}\n{await errors}");
        return await output;
    }

    public static Task<string> KcatAsync(string brokers, string? input, params string[] arguments) =>
        RunAsync("kcat", input, ["-b", brokers, .. arguments]);

    /// <summary>One of Apache Kafka's own tools by its short name.</summary>
    public static Task<string> KafkaAsync(string tool, string? input, params string[] arguments) =>
        RunAsync(Path.Combine(Repository.Engines!, "kafka/bin/kafka"), input, [tool, .. arguments]);

    /// <summary>kload's one line of JSON.</summary>
    public static async Task<JsonNode> KloadAsync(string verb, string brokers, params string[] arguments)
    {
        var line = await RunAsync(Path.Combine(Repository.Engines!, "go/kload"), null, [verb, "-brokers", brokers, .. arguments]);
        return JsonNode.Parse(line.Trim().Split('\n')[^1])!;
    }

    public static string[] Lines(string output) => output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    public static string Sequence(int count, string prefix = "") =>
        string.Concat(Enumerable.Range(1, count).Select(i => prefix + i.ToString(CultureInfo.InvariantCulture) + "\n"));
}
