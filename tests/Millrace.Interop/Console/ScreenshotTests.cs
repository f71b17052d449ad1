using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Millrace.Interop.WebConsole;

/// <summary>
/// Takes pictures when MILLRACE_SCREENSHOTS names a folder: of the console at MILLRACE_SCREENSHOT_OF (a running Millrace) or of the moving
/// platform of these tests; MILLRACE_SCREENSHOTS_ONLY takes one alone. <c>console.png</c> is the one in docs/.
/// </summary>
public sealed class ScreenshotTests(BrowserFixture browser) : IClassFixture<BrowserFixture>
{
    [BrowserFact]
    public async Task Pictures_are_taken_where_asked_for()
    {
        if (Environment.GetEnvironmentVariable("MILLRACE_SCREENSHOTS") is not { Length: > 0 } folder)
            return;
        Directory.CreateDirectory(folder);
        var job = Environment.GetEnvironmentVariable("MILLRACE_SCREENSHOT_JOB") ?? "retail";
        var table = Environment.GetEnvironmentVariable("MILLRACE_SCREENSHOT_TABLE") ?? "shop/by_country";
        await ShootAsync(folder, "console", "", new() { ViewportSize = new() { Width = 1280, Height = 800 }, ColorScheme = ColorScheme.Light });
        await ShootAsync(folder, "overview-full", "", new() { ViewportSize = new() { Width = 1280, Height = 800 } }, full: true);
        await ShootAsync(folder, "overview-dark", "", new() { ViewportSize = new() { Width = 1440, Height = 900 }, ColorScheme = ColorScheme.Dark });
        await ShootAsync(folder, "job", "#/jobs/" + job, new() { ViewportSize = new() { Width = 1280, Height = 800 } }, full: true);
        await ShootAsync(folder, "table", "#/tables/" + table, new() { ViewportSize = new() { Width = 1280, Height = 800 } });
        await ShootAsync(folder, "topic", "#/topics/orders", new() { ViewportSize = new() { Width = 1280, Height = 800 } });
        await ShootAsync(folder, "topics", "#/topics", new() { ViewportSize = new() { Width = 1280, Height = 800 } });
        await ShootAsync(folder, "alerts", "#/alerts", new() { ViewportSize = new() { Width = 1280, Height = 800 } });
        await ShootAsync(folder, "sql", "#/sql", new() { ViewportSize = new() { Width = 1280, Height = 800 } }, sql: $"SELECT *\nFROM {table.Replace('/', '.')}\nORDER BY window_start DESC\nLIMIT 300");
        await ShootAsync(folder, "sql-fault", "#/sql", new() { ViewportSize = new() { Width = 1280, Height = 800 } }, sql: $"SELECT *\nFROM {table.Replace('/', '.')}\nWHERE contry = 'France'");
        await ShootAsync(folder, "api", "api", new() { ViewportSize = new() { Width = 1280, Height = 800 } });
        var phone = new BrowserNewContextOptions { ViewportSize = new() { Width = 390, Height = 844 }, IsMobile = true, HasTouch = true, DeviceScaleFactor = 2 };
        await ShootAsync(folder, "phone", "", phone, full: true);
        await ShootAsync(folder, "phone-sql", "#/sql", phone, sql: "SELECT 1");
    }

    private async Task ShootAsync(string folder, string name, string hash, BrowserNewContextOptions options, bool full = false, string? sql = null)
    {
        if (Environment.GetEnvironmentVariable("MILLRACE_SCREENSHOTS_ONLY") is { Length: > 0 } only && only != name)
            return;
        await using var visit = await browser.OpenAsync(hash, options);
        var page = visit.Page;
        if (Environment.GetEnvironmentVariable("MILLRACE_SCREENSHOT_OF") is { Length: > 0 } other)
            await page.GotoAsync(other.TrimEnd('/') + "/" + hash);
        if (sql is not null)
        {
            var editor = page.GetByRole(AriaRole.Textbox, new() { Name = "Statement" });
            await editor.FillAsync(sql);
            await editor.PressAsync("Control+Enter");
            await Expect(page.Locator("#h-result, [role=alert]").First).ToBeVisibleAsync();
            if (name == "sql" && await page.GetByRole(AriaRole.Button, new() { Name = "Chart" }).IsVisibleAsync())
                await page.GetByRole(AriaRole.Button, new() { Name = "Chart" }).ClickAsync();
        }
        if (hash.Length == 0)
            await Expect(page.Locator(".rows li").First).ToBeVisibleAsync();
        // Charts and rates need some frames; a picture may wait, no assertion depends on it.
        await page.WaitForTimeoutAsync(hash.Length == 0 && !full ? 8000 : 3500);
        await page.ScreenshotAsync(new() { Path = Path.Combine(folder, name + ".png"), FullPage = full });
    }
}
