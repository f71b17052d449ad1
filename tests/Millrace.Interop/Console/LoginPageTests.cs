using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Playwright;
using Millrace.WebConsole;
using Millrace.WebConsole.Seams;
using static Microsoft.Playwright.Assertions;

namespace Millrace.Interop.WebConsole;

/// <summary>The login page in a browser.</summary>
public sealed class LoginPageTests(BrowserFixture browser) : IClassFixture<BrowserFixture>
{
    [BrowserFact]
    public async Task A_person_signs_in_by_the_form_and_out_again()
    {
        await using var server = await ConsoleServer.StartAsync(
            new ConsoleOptions { Port = 0, Pages = BrowserFixture.Pages, FailedLoginDelay = TimeSpan.Zero }, browser.Platform.Build() with { Access = new OneUser() },
            NullLoggerFactory.Instance, TimeProvider.System, default);
        await using var visit = await browser.OpenAsync("", address: server.Address);
        var page = visit.Page;
        await Expect(page).ToHaveTitleAsync("Sign in · Millrace");
        await SignInAsync(page, "guess");
        await Expect(page.GetByRole(AriaRole.Alert)).ToHaveTextAsync("The user or the password is wrong.");
        await SignInAsync(page, "right");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Overview");
        await Expect(page.Locator(".side [role=status]")).ToHaveTextAsync("Live");
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign out root" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Sign in");
        await page.GotoAsync(server.Address + "#/topics");
        await Expect(page).ToHaveTitleAsync("Sign in · Millrace");
    }

    private static async Task SignInAsync(IPage page, string password)
    {
        await page.GetByLabel("User").FillAsync("root");
        await page.GetByLabel("Password").FillAsync(password);
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
    }

    private sealed class OneUser : IAccess
    {
        public Visitor? Check(string user, string password) => (user, password) == ("root", "right") ? new Visitor(user, MayAll: true, password) : null;

        public bool Holds(Visitor visitor) => true;
    }
}
