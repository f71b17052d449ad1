using System.Globalization;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Millrace.Interop.WebConsole;

public sealed class PageTests(BrowserFixture browser) : IClassFixture<BrowserFixture>
{
    [BrowserFact]
    public async Task The_overview_shows_moving_numbers_and_nothing_goes_wrong()
    {
        await using var visit = await browser.OpenAsync();
        var page = visit.Page;
        await Expect(page).ToHaveTitleAsync("Overview · Millrace");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Overview");
        await Expect(page.Locator(".side [role=status]")).ToHaveTextAsync("Live");
        await Expect(page.Locator(".chart.windows .bar").First).ToBeAttachedAsync();
        await Expect(page.Locator(".rows li").First).ToBeVisibleAsync();
        await Expect(page.Locator(".flow .label").First).ToContainTextAsync("/s");

        var total = page.Locator(".tile .sub").First;
        var before = await total.TextContentAsync();
        await Expect(total).Not.ToHaveTextAsync(before!);
        visit.AssertClean();
    }

    [BrowserFact]
    public async Task Open_windows_fill_while_one_watches()
    {
        await using var visit = await browser.OpenAsync();
        var bar = visit.Page.Locator(".chart.windows .open .bar").Last;
        var before = await bar.GetAttributeAsync("height");
        await Expect(bar).Not.ToHaveAttributeAsync("height", before!);
        // The past comes from the table.
        Assert.True(await visit.Page.Locator(".chart.windows g:has(> .bar)").CountAsync() > 8);
        visit.AssertClean();
    }

    [BrowserFact]
    public async Task Every_page_opens_without_errors_and_with_a_heading_and_landmarks()
    {
        foreach (var (hash, heading) in new[]
        {
            ("#/jobs", "Pipelines"), ("#/jobs/retail", "retail"), ("#/sql", "SQL"), ("#/tables", "Tables"),
            ("#/tables/shop/by_country", "shop.by_country"), ("#/topics", "Topics"), ("#/topics/orders", "orders"), ("#/cluster", "Cluster"), ("#/alerts", "Alerts"), ("#/jobs/none", "none"),
        })
        {
            await using var visit = await browser.OpenAsync(hash);
            await Expect(visit.Page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync(heading);
            await Expect(visit.Page.GetByRole(AriaRole.Main)).ToHaveCountAsync(1);
            await Expect(visit.Page.GetByRole(AriaRole.Banner)).ToHaveCountAsync(1);
            await Expect(visit.Page.GetByRole(AriaRole.Navigation)).ToHaveCountAsync(1);
            await Expect(visit.Page.Locator("[aria-busy]")).ToHaveCountAsync(0);
            await visit.Page.WaitForLoadStateAsync(LoadState.DOMContentLoaded);
            Assert.Empty(await Accessibility.FaultsAsync(visit.Page));
            visit.AssertClean();
        }
    }

    [BrowserFact]
    public async Task The_cluster_shows_who_leads_how_far_each_log_is_and_who_is_silent()
    {
        await using var visit = await browser.OpenAsync("#/cluster");
        var rows = visit.Page.GetByRole(AriaRole.Region, new() { Name = "Members" }).Locator("tbody tr");
        await Expect(rows).ToHaveCountAsync(3);
        await Expect(rows.Nth(0)).ToContainTextAsync("leader");
        await Expect(rows.Nth(1)).ToContainTextAsync("1.5 ms");
        await Expect(rows.Nth(2)).ToContainTextAsync("silent");
        await Expect(visit.Page.GetByRole(AriaRole.Region, new() { Name = "Elections" }).Locator("tbody tr")).ToHaveCountAsync(2);
        var sessions = visit.Page.Locator("section[aria-labelledby=h-sessions]");
        await Expect(sessions).ToContainTextAsync("3 copies, writes wait for 2, reads for 2: a read sees every write before it");
        await Expect(sessions.Locator("tbody tr")).ToContainTextAsync("5 for c");
        visit.AssertClean();
    }

    [BrowserFact]
    public async Task A_topic_shows_the_schema_that_is_registered_for_it()
    {
        foreach (var place in new[] { "#/topics", "#/topics/orders" })
        {
            await using var visit = await browser.OpenAsync(place);
            var row = visit.Page.GetByRole(AriaRole.Region, new() { Name = "Schemas" }).Locator("tbody tr");
            await Expect(row).ToHaveCountAsync(1);
            await Expect(row).ToContainTextAsync("orders-value");
            await Expect(row).ToContainTextAsync("JSON");
            await Expect(row).ToContainTextAsync("LineId");
            visit.AssertClean();
        }
    }

    [BrowserFact]
    public async Task A_query_runs_by_keyboard_and_shows_as_table_and_chart()
    {
        await using var visit = await browser.OpenAsync("#/sql");
        var editor = visit.Page.GetByRole(AriaRole.Textbox, new() { Name = "Statement" });
        await editor.FillAsync("SELECT * FROM shop.by_country ORDER BY window_start");
        await editor.PressAsync("Control+Enter");
        await Expect(visit.Page.GetByRole(AriaRole.Columnheader, new() { Name = "revenue" })).ToBeVisibleAsync();
        await Expect(visit.Page.Locator("tbody tr").First).ToContainTextAsync("United Kingdom");
        await visit.Page.GetByRole(AriaRole.Button, new() { Name = "Chart" }).PressAsync("Enter");
        await Expect(visit.Page.Locator(".uplot canvas")).ToBeVisibleAsync();
        await Expect(visit.Page.Locator(".panel", new() { HasText = "History" }).Last).ToContainTextAsync("SELECT * FROM shop.by_country");
        visit.AssertClean();
    }

    [BrowserFact]
    public async Task A_wrong_statement_shows_its_place_with_a_caret_and_a_hint()
    {
        await using var visit = await browser.OpenAsync("#/sql");
        var editor = visit.Page.GetByRole(AriaRole.Textbox, new() { Name = "Statement" });
        await editor.FillAsync("SELECT *\nFROM shop.by_country\nWHERE contry = 'France'");
        await editor.PressAsync("Control+Enter");
        var alert = visit.Page.GetByRole(AriaRole.Alert);
        await Expect(alert).ToContainTextAsync("column \"contry\" does not exist");
        await Expect(alert).ToContainTextAsync("did you mean \"Country\"?");
        await Expect(alert.Locator(".caret")).ToContainTextAsync("3 │ WHERE contry");
        Assert.Equal("contry", await editor.EvaluateAsync<string>("e => e.value.slice(e.selectionStart, e.selectionEnd)"));
        visit.AssertClean();
    }

    [BrowserFact]
    public async Task All_of_it_can_be_reached_with_the_keyboard_alone()
    {
        await using var visit = await browser.OpenAsync();
        var page = visit.Page;
        await Expect(page.Locator(".rows li").First).ToBeVisibleAsync();
        await page.Keyboard.PressAsync("Tab");
        await Expect(page.Locator(":focus")).ToHaveTextAsync("Skip to content");
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.Locator("main:focus")).ToHaveCountAsync(1);
        for (var i = 0; i < 3; i++)
            await page.Keyboard.PressAsync("Shift+Tab");
        var seen = new HashSet<string>();
        for (var i = 0; i < 60; i++)
        {
            await page.Keyboard.PressAsync("Tab");
            seen.Add(await page.EvaluateAsync<string>(
                "() => { const e = document.activeElement; return e === document.body ? '' : (e.getAttribute('aria-label') || e.textContent || e.tagName).trim().slice(0, 40) }"));
        }
        Assert.Contains("Open pipeline", seen);
        Assert.Contains("Pipeline graph", seen);
        Assert.Contains("Newest quarantined rows", seen);
        Assert.Contains(seen, s => s.StartsWith("Theme:", StringComparison.Ordinal));
        await page.GetByRole(AriaRole.Link, new() { Name = "Topics" }).FocusAsync();
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Topics");
        await Expect(page.Locator("main:focus")).ToHaveCountAsync(1);
        visit.AssertClean();
    }

    [BrowserFact]
    public async Task Dark_mode_follows_the_system_and_can_be_picked()
    {
        await using var visit = await browser.OpenAsync("", new() { ColorScheme = ColorScheme.Dark });
        await Expect(visit.Page.Locator(".rows li").First).ToBeVisibleAsync();
        Assert.True(await BrightnessAsync(visit.Page) < 60);
        Assert.Empty(await Accessibility.FaultsAsync(visit.Page));
        await visit.Page.GetByRole(AriaRole.Button, new() { Name = "Theme: system" }).ClickAsync();
        await Expect(visit.Page.Locator("html")).ToHaveAttributeAsync("data-theme", "light");
        Assert.True(await BrightnessAsync(visit.Page) > 200);
        await visit.Page.ReloadAsync();
        await Expect(visit.Page.Locator("html")).ToHaveAttributeAsync("data-theme", "light");
        visit.AssertClean();
    }

    [BrowserFact]
    public async Task A_phone_shows_all_without_sideways_scrolling()
    {
        foreach (var hash in new[] { "", "#/jobs/retail", "#/sql", "#/tables/shop/by_country", "#/topics/orders", "#/alerts" })
        {
            await using var visit = await browser.OpenAsync(
                hash, new() { ViewportSize = new() { Width = 360, Height = 740 }, IsMobile = true, HasTouch = true, DeviceScaleFactor = 2 });
            await Expect(visit.Page.Locator(".panel").First).ToBeVisibleAsync();
            await Expect(visit.Page.Locator(".side [role=status]")).ToHaveTextAsync("Live");
            var wide = await visit.Page.EvaluateAsync<int>("() => document.documentElement.scrollWidth - document.documentElement.clientWidth");
            Assert.True(wide <= 0, $"{hash} is {wide} px too wide");
            visit.AssertClean();
        }
    }

    [BrowserFact]
    public async Task The_page_is_small()
    {
        await using var visit = await browser.OpenAsync();
        await Expect(visit.Page.Locator(".rows li").First).ToBeVisibleAsync();
        var sizes = await visit.Page.EvaluateAsync<double>(
            "() => performance.getEntriesByType('resource').filter(e => e.name.includes('/assets/')).reduce((n, e) => n + e.encodedBodySize, 0)");
        Assert.InRange(sizes, 1, 150_000);
    }

    [BrowserFact]
    public async Task The_api_reference_opens_cleanly()
    {
        await using var visit = await browser.OpenAsync("api");
        await Expect(visit.Page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("HTTP API");
        Assert.Empty(await Accessibility.FaultsAsync(visit.Page));
        visit.AssertClean();
    }

    private static async Task<double> BrightnessAsync(IPage page)
    {
        var color = await page.EvaluateAsync<string>("() => getComputedStyle(document.body).backgroundColor");
        return color[4..^1].Split(',').Average(c => double.Parse(c, CultureInfo.InvariantCulture));
    }
}
