using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Rest;
using Millrace.Storage.Files;

namespace Millrace.Interop.Iceberg;

/// <summary>The REST catalog on a loopback port, over a warehouse of its own.</summary>
internal sealed class RestCatalogServer : IAsyncDisposable
{
    private readonly WebApplication _application;

    private RestCatalogServer(WebApplication application, FolderCatalog catalog, string address)
    {
        _application = application;
        Catalog = catalog;
        Address = address;
    }

    public FolderCatalog Catalog { get; }

    public string Address { get; }

    public static async Task<RestCatalogServer> StartAsync()
    {
        var folder = Path.Combine(Path.GetTempPath(), $"millrace-rest-{Guid.NewGuid():N}");
        var catalog = FolderCatalog.Open(DiskFileSystem.Instance, folder, TimeProvider.System);
        var rest = new RestCatalog(catalog);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(options => options.Listen(IPAddress.Loopback, 0));
        var application = builder.Build();
        application.Run(async context =>
        {
            // The raw target keeps %1F and %2F as the client wrote them.
            var target = context.Features.Get<IHttpRequestFeature>()!.RawTarget;
            var path = target.Split('?')[0]["/iceberg".Length..];
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            var answer = rest.Handle(new RestRequest(
                context.Request.Method, path, context.Request.Query.ToDictionary(q => q.Key, q => q.Value.ToString()), body.ToArray()));
            if (answer.Status >= 500 || Environment.GetEnvironmentVariable("MILLRACE_REST_LOG") is not null)
                Console.Error.WriteLine($"{context.Request.Method} {target} -> {answer.Status} {System.Text.Encoding.UTF8.GetString(answer.Body.Span)[..Math.Min(400, answer.Body.Length)]}");
            context.Response.StatusCode = answer.Status;
            context.Response.ContentType = "application/json";
            if (answer.Body.Length > 0 && context.Request.Method != "HEAD")
                await context.Response.Body.WriteAsync(answer.Body);
        });
        await application.StartAsync();
        return new RestCatalogServer(application, catalog, application.Urls.First() + "/iceberg");
    }

    public async ValueTask DisposeAsync()
    {
        await _application.DisposeAsync();
        Directory.Delete(Catalog.Warehouse, recursive: true);
    }
}
