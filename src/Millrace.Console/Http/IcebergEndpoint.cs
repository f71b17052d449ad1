using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Millrace.Iceberg.Rest;

namespace Millrace.WebConsole.Http;

/// <summary>The Iceberg REST catalog under <c>/iceberg</c>: Spark, Trino, PyIceberg and DuckDB attach to it with this address.</summary>
internal static class IcebergEndpoint
{
    private const string Mount = "/iceberg";

    /// <summary>Answers when the path is the catalog's and there is one; else false.</summary>
    public static async Task<bool> TryServeAsync(HttpContext context, RestCatalog? catalog)
    {
        if (catalog is null || !context.Request.Path.StartsWithSegments(Mount))
            return false;
        // The raw target keeps %1F and %2F apart from what they stand for.
        var target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        var path = target.Split('?', 2)[0];
        var at = path.IndexOf(Mount, StringComparison.OrdinalIgnoreCase);
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        var request = new RestRequest(
            context.Request.Method, path[(at + Mount.Length)..],
            context.Request.Query.ToDictionary(q => q.Key, q => q.Value.ToString(), StringComparer.Ordinal), body.ToArray());
        // A commit waits for the disk; the server's threads do not.
        var answer = await Task.Run(() => catalog.Handle(request), context.RequestAborted);
        context.Response.StatusCode = answer.Status;
        if (answer.Body.Length == 0)
            return true;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = answer.Body.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(answer.Body, context.RequestAborted);
        return true;
    }
}
