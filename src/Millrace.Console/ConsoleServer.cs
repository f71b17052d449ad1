using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Millrace.WebConsole.Events;
using Millrace.WebConsole.History;
using Millrace.WebConsole.Http;
using Millrace.WebConsole.Metrics;
using Millrace.WebConsole.Pages;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;
using BadHttpRequestException = Microsoft.AspNetCore.Http.BadHttpRequestException;
using Route = Millrace.WebConsole.Http.Route;

namespace Millrace.WebConsole;

/// <summary>
/// The HTTP side of one Millrace process: API, metrics, event stream and the page, on Kestrel. Disposing of it ends every
/// connection and stops listening.
/// </summary>
public sealed partial class ConsoleServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly EventHub _hub;
    private readonly StatusHistory _history;

    private ConsoleServer(WebApplication application, EventHub hub, StatusHistory history, MetricsPage metrics, Uri address, IReadOnlyList<Route> routes)
    {
        _application = application;
        _hub = hub;
        _history = history;
        Metrics = metrics;
        Address = address;
        Routes = routes;
    }

    /// <summary>Where it listens, with the true port.</summary>
    public Uri Address { get; }

    internal IReadOnlyList<Route> Routes { get; }

    internal EventHub Hub => _hub;

    internal MetricsPage Metrics { get; }

    /// <summary>What the web server really routes, as <c>METHOD /path</c>.</summary>
    internal IEnumerable<string> Mapped() =>
        from source in ((IEndpointRouteBuilder)_application).DataSources
        from endpoint in source.Endpoints.OfType<RouteEndpoint>()
        from method in endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()!.HttpMethods
        where method != "HEAD"
        select $"{method} {endpoint.RoutePattern.RawText}";

    /// <exception cref="IOException">The address cannot be listened on, e.g. since the port is in use.</exception>
    public static async Task<ConsoleServer> StartAsync(
        ConsoleOptions options, ConsoleServices services, ILoggerFactory logs, TimeProvider time, CancellationToken cancellation)
    {
        var log = logs.CreateLogger<ConsoleServer>();
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "Millrace.Console" });
        builder.Services.AddSingleton(logs);
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.MaxBodyBytes;
            kestrel.Limits.MaxConcurrentConnections = options.MaxConnections;
            kestrel.Listen(options.Address, options.Port, listen =>
            {
                listen.Protocols = HttpProtocols.Http1;
                if (options.Certificate is { } certificate)
                    listen.UseHttps(https => (https.ServerCertificate, https.ServerCertificateChain) = (certificate.TargetCertificate, [.. certificate.IntermediateCertificates]));
            });
        });
        var application = builder.Build();

        var hub = new EventHub(services, options, time, log);
        var history = new StatusHistory(services, options, time);
        var http = new HttpMeter();
        var pages = PageFiles.Load(options.Pages);
        IReadOnlyList<Route> routes = [];
        var metrics = new MetricsPage(services, hub, http, time);
        routes =
        [
            .. new SystemRoutes(services, hub, history, metrics, () => routes).All(),
            .. new JobRoutes(services, options).All(),
            .. new TopicRoutes(services, options).All(),
            .. new UserRoutes(services).All(),
            .. new TableRoutes(services, options, time).All(),
            .. new ClusterRoutes(services).All(),
            .. new SessionRoutes(services).All(),
        ];

        var login = services.Access is { } access ? new LoginGuard(access, options, time, log) : null;
        application.Use(Guard(new RequestGuard(options), http, time, log));
        application.UseRouting();
        if (login is not null)
        {
            application.Lifetime.ApplicationStopped.Register(login.Dispose);
            application.Use(async (context, next) =>
            {
                if (await login.AdmitAsync(context))
                    await next(context);
            });
        }
        foreach (var route in routes)
            Map(application, route);
        application.UseEndpoints(static _ => { });
        application.Run(async context =>
        {
            if (context.Request.Path == LoginPage.User)
            {
                await LoginPage.TellAsync(context, null);
                return;
            }
            if (await IcebergEndpoint.TryServeAsync(context, services.Iceberg) || await SchemaEndpoint.TryServeAsync(context, services.Schemas)
                || await pages.TryServeAsync(context))
                return;
            throw new ConsoleException(404, "Not found", $"there is nothing at {context.Request.Path}", "the API's routes are listed at /api");
        });
        try
        {
            await application.StartAsync(cancellation);
        }
        catch (Exception)
        {
            history.Dispose();
            await hub.DisposeAsync();
            await application.DisposeAsync();
            throw;
        }
        var address = new Uri(application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        if (!IPAddress.IsLoopback(options.Address) && login is null)
            LogOpen(log, options.Address);
        LogListening(log, address, pages.Built);
        return new ConsoleServer(application, hub, history, metrics, address, routes);
    }

    public async ValueTask DisposeAsync()
    {
        _history.Dispose();
        await _hub.DisposeAsync();
        await _application.StopAsync();
        await _application.DisposeAsync();
    }

    private static void Map(WebApplication application, Route route)
    {
        // An event stream answers a HEAD request never, so it takes none.
        string[] methods = route.Method == "GET" && route.Id != "listenEvents" ? ["GET", "HEAD"] : [route.Method];
        ((IEndpointRouteBuilder)application).MapMethods(route.Path, methods, route.Serve).WithMetadata(route);
    }

    private static Func<HttpContext, RequestDelegate, Task> Guard(RequestGuard guard, HttpMeter http, TimeProvider time, ILogger log) =>
        async (context, next) =>
        {
            var started = time.GetTimestamp();
            RequestGuard.Decorate(context.Response);
            try
            {
                guard.Check(context.Request);
                await next(context);
                if (context.Response is { HasStarted: false, StatusCode: 405 })
                    throw new ConsoleException(405, "Method not allowed", $"{context.Request.Path} does not take {context.Request.Method}", "see /api");
            }
            catch (ConsoleException fault) when (!context.Response.HasStarted)
            {
                await Replies.ProblemAsync(context, fault);
            }
            catch (BadHttpRequestException bad) when (!context.Response.HasStarted)
            {
                await Replies.ProblemAsync(context, new ConsoleException(bad.StatusCode, "Bad request", bad.Message));
            }
            catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
            {
                // The client went away.
            }
            catch (Exception e) when (!context.Response.HasStarted)
            {
                LogFailed(log, e, context.Request.Method, context.Request.Path);
                await Replies.ProblemAsync(context, new ConsoleException(500, "Internal error", $"{e.GetType().Name}: {e.Message}", "the log has more"));
            }
            finally
            {
                var route = context.GetEndpoint()?.Metadata.GetMetadata<Route>();
                http.Record(
                    route?.Path ?? "pages", context.Response.StatusCode, time.GetElapsedTime(started), timed: route?.Id != "listenEvents");
            }
        };

    [LoggerMessage(10, LogLevel.Information, "console at {Address} (page built: {Built})")]
    private static partial void LogListening(ILogger log, Uri address, bool built);

    [LoggerMessage(11, LogLevel.Warning, "the console listens on {Address} without a login: whoever reaches it can change everything")]
    private static partial void LogOpen(ILogger log, IPAddress address);

    [LoggerMessage(12, LogLevel.Error, "{Method} {Path} failed")]
    private static partial void LogFailed(ILogger log, Exception exception, string method, string path);
}
