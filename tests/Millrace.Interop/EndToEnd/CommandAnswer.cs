using System.Text.Json.Nodes;
using Millrace.Bench.Running;

namespace Millrace.Interop.EndToEnd;

/// <summary>What a command left behind.</summary>
internal sealed record CommandAnswer(int Code, string Output, string Errors)
{
    /// <summary>The output as JSON; the errors are told when there is none.</summary>
    public JsonNode Json => Output.Length > 0 ? JsonNode.Parse(Output)! : throw new InvalidOperationException(Errors);

    /// <summary>The output's lines as JSON.</summary>
    public IReadOnlyList<JsonNode> Lines => [.. Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonNode.Parse(l)!)];
}

/// <summary>Runs commands against a platform as a user does, and waits for what they tell.</summary>
internal static class Commands
{
    public static async Task<CommandAnswer> CommandAsync(this PlatformProcess platform, string[] arguments, string? input = null)
    {
        using var process = platform.Run([.. arguments, "--config", Path.Combine(platform.Folder, "millrace.yaml")]);
        if (input is not null)
            await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return new CommandAnswer(process.ExitCode, output, await errors);
    }

    /// <summary>Runs a command that must succeed.</summary>
    public static async Task<CommandAnswer> DoAsync(this PlatformProcess platform, params string[] arguments)
    {
        var answer = await platform.CommandAsync(arguments);
        Assert.True(answer.Code == 0, $"{string.Join(' ', arguments)} gave {answer.Code}:\n{answer.Errors}");
        return answer;
    }

    /// <summary>The job as <c>job show --json</c> tells it, as soon as it is as asked.</summary>
    public static async Task<JsonNode> UntilJobAsync(this PlatformProcess platform, string name, Func<JsonNode, bool> condition, string what)
    {
        var deadline = DateTime.UtcNow.AddSeconds(90);
        JsonNode? job = null;
        while (DateTime.UtcNow < deadline)
        {
            job = (await platform.GetAsync($"/api/jobs/{name}", CancellationToken.None))["job"]!;
            if (condition(job))
                return job;
            await Task.Delay(50);
        }
        throw new TimeoutException($"not in time: {what}; the job says {job?.ToJsonString()}\n{platform.Errors}");
    }

    public static string? Reason(this JsonNode job) => job["reason"]?.GetValue<string>();

    public static long In(this JsonNode job) => job["sources"]!.AsArray().Sum(s => s!["in"]!.GetValue<long>());

    public static long Committed(this JsonNode job, string target) =>
        job["sinks"]!.AsArray().Where(s => s!["target"]!.GetValue<string>() == target).Sum(s => s!["committed"]!.GetValue<long>());
}
