using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Playwright;
using Millrace.Tests;
using Millrace.WebConsole;

namespace Millrace.Interop.WebConsole;

/// <summary>A fact that drives the built page in Chromium; skipped by name where either is absent.</summary>
internal sealed class BrowserFactAttribute : FactAttribute
{
    public BrowserFactAttribute()
    {
        if (BrowserFixture.Chromium is null)
            Skip = "needs chromium (MILLRACE_CHROMIUM, /usr/bin/chromium)";
        else if (!File.Exists(Path.Combine(BrowserFixture.Pages, "index.html")))
            Skip = "needs console/dist (cd console && npm ci && npm run build)";
    }
}

/// <summary>One browser and one console for a test class. Every page notes what must not happen: errors and requests elsewhere.</summary>
public sealed class BrowserFixture : IAsyncLifetime
{
    private IPlaywright? _playwright;
    private IBrowser? _browser;
    private ConsoleServer? _server;

    internal MovingPlatform Platform { get; private set; } = null!;

    public Uri Address => _server!.Address;

    public static string Pages { get; } = Path.Combine(Repository.Root, "console", "dist");

    public static string? Chromium { get; } = Find(
        Environment.GetEnvironmentVariable("MILLRACE_CHROMIUM"), "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome");

    public async Task InitializeAsync()
    {
        if (Chromium is null || !File.Exists(Path.Combine(Pages, "index.html")))
            return;
        Platform = new MovingPlatform();
        var port = int.Parse(Environment.GetEnvironmentVariable("MILLRACE_TRY_PORT") ?? "0");
        _server = await ConsoleServer.StartAsync(
            new ConsoleOptions { Port = port, Pages = Pages }, Platform.Build(), NullLoggerFactory.Instance, TimeProvider.System, default);
        Environment.SetEnvironmentVariable("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = Chromium,
            Headless = true,
            Args =
            [
                "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-sync",
            ],
        });
    }

    public async Task DisposeAsync()
    {
        if (_browser is not null)
            await _browser.DisposeAsync();
        _playwright?.Dispose();
        if (_server is not null)
            await _server.DisposeAsync();
        if (Platform is not null)
            await Platform.DisposeAsync();
    }

    internal async Task<Visit> OpenAsync(string hash = "", BrowserNewContextOptions? options = null, Uri? address = null)
    {
        var context = await _browser!.NewContextAsync(options ?? new() { ViewportSize = new() { Width = 1280, Height = 800 } });
        // Deadlines, not measures: a machine that is busy with other tests may take its time.
        context.SetDefaultTimeout(60_000);
        Assertions.SetDefaultExpectTimeout(60_000);
        var page = await context.NewPageAsync();
        var visit = new Visit(context, page, address ?? Address);
        await page.GotoAsync((address ?? Address) + hash);
        return visit;
    }

    private static string? Find(params string?[] paths) => paths.FirstOrDefault(File.Exists);
}

/// <summary>A page and what went wrong on it.</summary>
internal sealed class Visit : IAsyncDisposable
{
    private readonly IBrowserContext _context;
    private readonly ConcurrentQueue<string> _wrong = new();

    public Visit(IBrowserContext context, IPage page, Uri address)
    {
        _context = context;
        Page = page;
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning" && !message.Text.Contains("status of 400", StringComparison.Ordinal))
                _wrong.Enqueue($"console {message.Type}: {message.Text}");
        };
        page.PageError += (_, error) => _wrong.Enqueue($"page error: {error}");
        page.Request += (_, request) =>
        {
            if (!request.Url.StartsWith(address.ToString(), StringComparison.Ordinal) && !request.Url.StartsWith("data:", StringComparison.Ordinal))
                _wrong.Enqueue($"request outside: {request.Url}");
        };
    }

    public IPage Page { get; }

    public void AssertClean() => Assert.Empty(_wrong);

    public async ValueTask DisposeAsync() => await _context.DisposeAsync();
}
