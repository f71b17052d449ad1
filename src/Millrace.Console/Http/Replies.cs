using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Http;

/// <summary>Writes answers and reads bodies.</summary>
internal static class Replies
{
    public static async Task JsonAsync<T>(HttpContext context, T value, JsonTypeInfo<T> type, int status = 200)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        await JsonSerializer.SerializeAsync(context.Response.Body, value, type, context.RequestAborted);
    }

    public static async Task TextAsync(HttpContext context, string text, string contentType, int status = 200)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = contentType;
        context.Response.Headers.CacheControl = "no-store";
        await context.Response.WriteAsync(text, context.RequestAborted);
    }

    public static async Task ProblemAsync(HttpContext context, Problem problem)
    {
        context.Response.StatusCode = problem.Status;
        context.Response.ContentType = "application/problem+json";
        context.Response.Headers.CacheControl = "no-store";
        await JsonSerializer.SerializeAsync(context.Response.Body, problem, ConsoleJson.Relaxed.Problem, context.RequestAborted);
    }

    public static Task ProblemAsync(HttpContext context, ConsoleException fault) => ProblemAsync(context, new Problem
    {
        Type = TypeOf(fault.Title), Title = fault.Title, Status = fault.Status, Detail = fault.Message, Hint = fault.Hint,
    });

    /// <summary>A problem's stable name: its title in lower case with dashes.</summary>
    public static string TypeOf(string title) => "problems/" + title.ToLowerInvariant().Replace(' ', '-');

    public static async Task<T> ReadJsonAsync<T>(HttpContext context, JsonTypeInfo<T> type)
    {
        try
        {
            return await JsonSerializer.DeserializeAsync(context.Request.Body, type, context.RequestAborted)
                ?? throw new ConsoleException(400, "Bad body", "the body is null");
        }
        catch (JsonException e)
        {
            var place = e.LineNumber is { } line ? $" (line {line + 1}, byte {e.BytePositionInLine + 1})" : "";
            throw new ConsoleException(400, "Bad body", $"the body is not the JSON that is expected{place}: {e.Message}", "GET /openapi.json describes it");
        }
    }

    public static async Task<string> ReadTextAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body, new UTF8Encoding(false, throwOnInvalidBytes: true));
        try
        {
            return await reader.ReadToEndAsync(context.RequestAborted);
        }
        catch (DecoderFallbackException)
        {
            throw new ConsoleException(400, "Bad body", "the body is not UTF-8");
        }
    }
}
