/* stack_traces.h - samples of test_stack_trace.c: what, the text, what is read of it. */
    {"Python, chained",
     "Traceback (most recent call last):\n"
     "  File \"/srv/app/shop/cart.py\", line 8, in sum\n"
     "    return sum(map(lambda o: price(o), orders))\n"
     "           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
     "  File \"/srv/app/shop/cart.py\", line 8, in <lambda>\n"
     "    return sum(map(lambda o: price(o), orders))\n"
     "                             ^^^^^^^^\n"
     "  File \"/srv/app/shop/price.py\", line 4, in price\n"
     "    return o[\"total\"] / o[\"count\"]\n"
     "           ~~~~~~~~~~~^~~~~~~~~~~~\n"
     "ZeroDivisionError: division by zero\n"
     "\n"
     "The above exception was the direct cause of the following exception:\n"
     "\n"
     "Traceback (most recent call last):\n"
     "  File \"/srv/app/main.py\", line 11, in <module>\n"
     "    Cart().sum([{\"total\": 1, \"count\": 0}])\n"
     "  File \"/srv/app/shop/cart.py\", line 10, in sum\n"
     "    raise OrderError(\"cart cannot be summed\") from e\n"
     "shop.errors.OrderError: cart cannot be summed\n",
     "/srv/app/shop/price.py:4 price\n"
     "/srv/app/shop/cart.py:8 sum\n"
     "/srv/app/shop/cart.py:10 sum\n"
     "/srv/app/main.py:11 \n"
     "!ZeroDivisionError: division by zero\n"
     "!OrderError: cart cannot be summed\n"},
    {"Python, a group of exceptions",
     "  + Exception Group Traceback (most recent call last):\n"
     "  |   File \"/srv/app/g.py\", line 6, in <module>\n"
     "  |     asyncio.run(main())\n"
     "  |   File \"/usr/lib/python3.11/asyncio/runners.py\", line 190, in run\n"
     "  |     return runner.run(main)\n"
     "  |            ^^^^^^^^^^^^^^^^\n"
     "  |   File \"/srv/app/g.py\", line 4, in main\n"
     "  |     async with asyncio.TaskGroup() as g:\n"
     "  | ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)\n"
     "  +-+---------------- 1 ----------------\n"
     "    | Traceback (most recent call last):\n"
     "    |   File \"/srv/app/g.py\", line 1, in f\n"
     "    |     async def f(n): raise ValueError(n)\n"
     "    |                     ^^^^^^^^^^^^^^^^^^^\n"
     "    | ValueError: 1\n"
     "    +------------------------------------\n",
     "/srv/app/g.py:1 f\n"
     "/srv/app/g.py:4 main\n"
     "/usr/lib/python3.11/asyncio/runners.py:190 run\n"
     "/srv/app/g.py:6 \n"
     "!ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)\n"
     "!ValueError: 1\n"},
    {"Python, a syntax error, and Windows",
     "Traceback (most recent call last):\n"
     "  File \"C:\\Users\\me\\app\\main.py\", line 3, in <module>\n"
     "    import tables\n"
     "  File \"C:\\Users\\me\\app\\tables.py\", line 20\n"
     "    def write(\n"
     "             ^\n"
     "SyntaxError: '(' was never closed\n",
     "C:/Users/me/app/tables.py:20 \n"
     "C:/Users/me/app/main.py:3 \n"
     "!SyntaxError: '(' was never closed\n"},
    {"Python under pytest",
     "    def test_total():\n"
     ">       assert total([1]) == 2\n"
     "E       assert 1 == 2\n"
     "\n"
     "tests/test_cart.py:12: AssertionError\n"
     "app/cart.py:40: in total\n"
     "    return price(o)\n"
     "E   ValueError: no price\n",
     "tests/test_cart.py:12 \n"
     "app/cart.py:40 total\n"
     "!ValueError: no price\n"},
    {"Python in a container's log",
     "web_1  | 2026-11-21 10:15:02,113 ERROR Exception on /orders [GET]\n"
     "web_1  | Traceback (most recent call last):\n"
     "web_1  |   File \"/usr/local/lib/python3.12/site-packages/flask/app.py\", line 1473, in wsgi_app\n"
     "web_1  |     response = self.full_dispatch_request()\n"
     "web_1  |   File \"/app/orders/views.py\", line 31, in list_orders\n"
     "web_1  |     return render(Order.all())\n"
     "web_1  | sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection refused\n",
     "/app/orders/views.py:31 list_orders\n"
     "/usr/local/lib/python3.12/site-packages/flask/app.py:1473 wsgi_app\n"
     "!OperationalError: (psycopg2.OperationalError) connection refused\n"},
    {"Python on one line",
     "Traceback: File \"/opt/job/run.py\", line 231, in main: redis.exceptions.ConnectionError: Error 111 connecting.\n",
     "/opt/job/run.py:231 main\n"},
    {"Java, caused by",
     "Exception in thread \"main\" com.acme.shop.Cart$NotFound: no order 7\n"
     "\tat com.acme.shop.Cart.place(Cart.java:5)\n"
     "\tat com.acme.shop.Main.main(Main.java:6)\n"
     "Caused by: java.lang.IndexOutOfBoundsException: Index 1 out of bounds for length 0\n"
     "\tat java.base/jdk.internal.util.Preconditions.outOfBounds(Preconditions.java:64)\n"
     "\tat java.base/java.util.ArrayList.get(ArrayList.java:427)\n"
     "\tat com.acme.shop.Cart.find(Cart.java:4)\n"
     "\tat com.acme.shop.Cart.lambda$place$0(Cart.java:5)\n"
     "\tat com.acme.shop.Item.<init>(Item.java:9)\n"
     "\tat java.base/java.util.Arrays$ArrayList.forEach(Arrays.java:4204)\n"
     "\t... 2 more\n",
     "jdk/internal/util/Preconditions.java:64 Preconditions.outOfBounds\n"
     "java/util/ArrayList.java:427 ArrayList.get\n"
     "com/acme/shop/Cart.java:4 Cart.find\n"
     "com/acme/shop/Cart.java:5 Cart.place\n"
     "com/acme/shop/Item.java:9 Item\n"
     "java/util/Arrays.java:4204 Arrays.ArrayList.forEach\n"
     "com/acme/shop/Main.java:6 Main.main\n"
     "!NotFound: no order 7\n"
     "!IndexOutOfBoundsException: Index 1 out of bounds for length 0\n"},
    {"Java, a servlet's log",
     "2026-11-21 10:15:02.113 ERROR 1 --- [nio-8080-exec-1] o.a.c.c.C.[dispatcherServlet] : Servlet.service() threw\n"
     "java.lang.NullPointerException: Cannot invoke \"String.length()\" because \"name\" is null\n"
     "\tat com.acme.web.UserController.show(UserController.java:42) ~[classes!/:1.0]\n"
     "\tat jdk.internal.reflect.GeneratedMethodAccessor12.invoke(Unknown Source) ~[?:?]\n"
     "\tat app//com.acme.web.Filter$Chain.doFilter(Filter.java:17) ~[classes!/:1.0]\n",
     "com/acme/web/UserController.java:42 UserController.show\n"
     ":0 GeneratedMethodAccessor12.invoke\n"
     "com/acme/web/Filter.java:17 Filter.Chain.doFilter\n"
     "!NullPointerException: Cannot invoke \"String.length()\" because \"name\" is null\n"},
    {"Kotlin",
     "Exception in thread \"main\" kotlin.KotlinNullPointerException\n"
     "\tat com.acme.AppKt.load(App.kt:12)\n"
     "\tat com.acme.AppKt$main$1.invokeSuspend(App.kt:20)\n"
     "\tat com.acme.Repository$Companion.open(Repository.kt:33)\n",
     "com/acme/App.kt:12 AppKt.load\n"
     "com/acme/App.kt:20 AppKt.main\n"
     "com/acme/Repository.kt:33 Repository.Companion.open\n"
     "!KotlinNullPointerException: \n"},
    {"Scala",
     "scala.MatchError: 7 (of class java.lang.Integer)\n"
     "\tat com.acme.Shop$.price(Shop.scala:14)\n"
     "\tat com.acme.Shop$.$anonfun$total$1(Shop.scala:9)\n",
     "com/acme/Shop.scala:14 Shop.price\n"
     "com/acme/Shop.scala:9 Shop.total\n"
     "!MatchError: 7 (of class java.lang.Integer)\n"},
    {"Node.js, with a cause",
     "file:///srv/app/src/main.mjs:2\n"
     "async function main() { throw new Error(\"order failed\", {cause: e}) }\n"
     "                              ^\n"
     "\n"
     "Error: order failed\n"
     "    at main (file:///srv/app/src/main.mjs:2:102) {\n"
     "  [cause]: TypeError: Cannot read properties of undefined (reading 'total')\n"
     "      at file:///srv/app/src/order.mjs:1:99\n"
     "      at Array.map (<anonymous>)\n"
     "      at OrderService.check (file:///srv/app/src/order.mjs:1:82)\n"
     "      at new Cart (/srv/app/src/cart.js:7:11)\n"
     "      at async Promise.all (index 0)\n"
     "      at async Object.handle [as run] (C:\\srv\\app\\src\\http.js:45:3)\n"
     "      at process.processTicksAndRejections (node:internal/process/task_queues:95:5)\n"
     "}\n",
     "/srv/app/src/order.mjs:1 OrderService.check\n"
     ":0 Array.map\n"
     "/srv/app/src/cart.js:7 Cart\n"
     "C:/srv/app/src/http.js:45 Object.handle\n"
     "node:internal/process/task_queues:95 process.processTicksAndRejections\n"
     "/srv/app/src/main.mjs:2 main\n"
     "!Error: order failed\n"
     "!TypeError: Cannot read properties of undefined (reading 'total')\n"},
    {"a browser",
     "Uncaught (in promise) ReferenceError: total is not defined\n"
     "    at render (webpack-internal:///./src/App.tsx:12:9)\n"
     "    at https://shop.example.com/static/js/main.abc123.js?v=2:1:5021\n",
     "src/App.tsx:12 render\n"
     "/static/js/main.abc123.js:1 \n"
     "!ReferenceError: total is not defined\n"},
    {"Firefox",
     "TypeError: order.items is undefined\n"
     "total@https://shop.example.com/js/cart.js:10:21\n"
     "Cart.prototype.sum@https://shop.example.com/js/cart.js:4:12\n"
     "@https://shop.example.com/js/main.js:1:1\n",
     "/js/cart.js:10 total\n"
     "/js/cart.js:4 Cart.prototype.sum\n"
     "/js/main.js:1 \n"
     "!TypeError: order.items is undefined\n"},
    {"Go",
     "panic: runtime error: index out of range [5] with length 0\n"
     "\n"
     "goroutine 1 [running]:\n"
     "main.(*Server).handle(...)\n"
     "\t/srv/app/server.go:3\n"
     "main.main.func1(0xc000012345, {0x1, 0x2})\n"
     "\t/srv/app/main.go:5 +0x1d\n"
     "github.com/acme/app/queue.Run[...](0x1)\n"
     "\t/home/me/go/pkg/mod/github.com/acme/app@v1.2.3/queue/run.go:44 +0x3f\n"
     "created by main.start in goroutine 17\n"
     "\t/srv/app/main.go:20 +0x5a\n"
     "exit status 2\n",
     "/srv/app/server.go:3 main.Server.handle\n"
     "/srv/app/main.go:5 main.main\n"
     "/home/me/go/pkg/mod/github.com/acme/app@v1.2.3/queue/run.go:44 app.queue.Run\n"
     "/srv/app/main.go:20 main.start\n"
     "!panic: runtime error: index out of range [5] with length 0\n"},
    {"Rust",
     "thread 'main' (1237) panicked at src/order.rs:1:102:\n"
     "index out of bounds: the len is 1 but the index is 7\n"
     "stack backtrace:\n"
     "   0: __rustc::rust_begin_unwind\n"
     "             at /rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/panicking.rs:689:5\n"
     "   3: shop::order::Order::total::{{closure}}\n"
     "             at ./src/order.rs:1:102\n"
     "   4: <shop::order::Order as core::fmt::Display>::fmt\n"
     "             at ./src/order.rs:9:12\n"
     "   5: shop::main::h0123456789abcdef\n"
     "             at ./src/main.rs:2:40\n"
     "note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n",
     "src/order.rs:1 order.Order.total\n"
     "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/panicking.rs:689 __rustc.rust_begin_unwind\n"
     "src/order.rs:9 order.Order.fmt\n"
     "src/main.rs:2 shop.main\n"
     "!panic: index out of bounds: the len is 1 but the index is 7\n"},
    {"Rust before 2023",
     "thread 'worker' panicked at 'called `Option::unwrap()` on a `None` value', src/lib.rs:42:27\n"
     "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
     "src/lib.rs:42 \n"
     "!panic: called `Option::unwrap()` on a `None` value\n"},
    {"the sanitizers",
     "=================================================================\n"
     "==1273==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x55d6d18d6364\n"
     "READ of size 4 at 0x602000000010 thread T0\n"
     "    #0 0x55d6d18d6363 in shop::Cart<int>::total(int) /srv/app/src/cart.cpp:3\n"
     "    #1 0x55d6d18d6273 in run(int) /srv/app/src/main.cpp:4:12\n"
     "    #2 0x7fa99c245249 in __libc_start_call_main ../sysdeps/nptl/libc_start_call_main.h:58\n"
     "    #3 0x55d6d18d60e0 in _start (/srv/app/shop+0x10e0)\n"
     "SUMMARY: AddressSanitizer: heap-use-after-free /srv/app/src/cart.cpp:3 in shop::Cart<int>::total(int)\n",
     "/srv/app/src/cart.cpp:3 shop.Cart.total\n"
     "/srv/app/src/main.cpp:4 run\n"
     "../sysdeps/nptl/libc_start_call_main.h:58 __libc_start_call_main\n"
     ":0 _start\n"
     "!AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x55d6d18d6364\n"},
    {"gdb",
     "Program received signal SIGSEGV, Segmentation fault.\n"
     "0x0000555555555139 in total (c=0x0, w=0x555555556004 \"a (b:12)\") at cart.c:3\n"
     "3\tint total(struct cart *c, const char *w) { return c->n; }\n"
     "#0  0x0000555555555139 in total (c=0x0, w=0x555555556004 \"a (b:12)\") at cart.c:3\n"
     "#1  shop::Cart<int>::sum (this=0x7ffd, n=1) at ../src/cart.cpp:40\n"
     "#2  0x00007ffff7a5c7bb in raise () from /lib/x86_64-linux-gnu/libc.so.6\n"
     "#3  0x0000555555555155 in main () at main.c:4\n",
     "cart.c:3 total\n"
     "../src/cart.cpp:40 shop.Cart.sum\n"
     ":0 raise\n"
     "main.c:4 main\n"
     "!SIGSEGV: Segmentation fault.\n"},
    {"lldb",
     "* thread #1, queue = 'com.apple.main-thread', stop reason = EXC_BAD_ACCESS (code=1, address=0x0)\n"
     "  * frame #0: 0x0000000100003f6c shop`total(c=0x0000000000000000) at cart.c:3:51\n"
     "    frame #1: 0x0000000100003f90 shop`main at main.c:4:24\n",
     "cart.c:3 total\n"
     "main.c:4 main\n"},
    {"valgrind",
     "==2234== Invalid read of size 4\n"
     "==2234==    at 0x109139: total (cart.c:3)\n"
     "==2234==    by 0x109154: Cart::sum(int) (cart.cpp:14)\n"
     "==2234==  Address 0x0 is not stack'd, malloc'd or (recently) free'd\n",
     "cart.c:3 total\n"
     "cart.cpp:14 Cart.sum\n"},
    {"C#",
     "Unhandled exception. System.InvalidOperationException: The order cannot be placed\n"
     " ---> System.NullReferenceException: Object reference not set to an instance of an object.\n"
     "   at Acme.Shop.Cart.Price(Order order) in /srv/app/Shop/Cart.cs:line 12\n"
     "   at System.Linq.Enumerable.Sum[TSource](IEnumerable`1 source)\n"
     "   --- End of inner exception stack trace ---\n"
     "   at Acme.Shop.Cart.<PlaceAsync>d__4.MoveNext() in C:\\src\\Shop\\Cart.cs:line 30\n"
     "   at Acme.Program.<>c.<Main>b__0_0(String s) in /srv/app/Program.cs:line 7\n",
     "/srv/app/Shop/Cart.cs:12 Shop.Cart.Price\n"
     ":0 Enumerable.Sum\n"
     "C:/src/Shop/Cart.cs:30 Shop.Cart.PlaceAsync\n"
     "/srv/app/Program.cs:7 Program.c.Main\n"
     "!InvalidOperationException: The order cannot be placed\n"
     "!NullReferenceException: Object reference not set to an instance of an object.\n"},
    {"Ruby",
     "cart.rb:6:in `price': order has no price (NoPrice)\n"
     "\tfrom cart.rb:4:in `block in sum'\n"
     "\tfrom cart.rb:4:in `map'\n"
     "\tfrom /srv/app/lib/shop/cart.rb:8:in `run'\n"
     "\tfrom main.rb:11:in `<main>'\n",
     "cart.rb:6 price\n"
     "cart.rb:4 sum\n"
     "cart.rb:4 map\n"
     "/srv/app/lib/shop/cart.rb:8 run\n"
     "main.rb:11 \n"
     "!NoPrice: order has no price\n"},
    {"Ruby 3.4",
     "/srv/app/lib/cart.rb:6:in 'Shop::Cart#price': order has no price (Shop::NoPrice)\n"
     "\tfrom /srv/app/lib/cart.rb:4:in 'block (2 levels) in Shop::Cart#sum'\n"
     "\tfrom /srv/app/lib/cart.rb:8:in 'Shop::Cart.run'\n",
     "/srv/app/lib/cart.rb:6 Shop.Cart.price\n"
     "/srv/app/lib/cart.rb:4 Shop.Cart.sum\n"
     "/srv/app/lib/cart.rb:8 Shop.Cart.run\n"
     "!NoPrice: order has no price\n"},
    {"PHP",
     "PHP Fatal error:  Uncaught App\\Shop\\NoPrice: order has no price in /srv/app/Shop/Cart.php:6\n"
     "Stack trace:\n"
     "#0 /srv/app/Shop/Cart.php(5): App\\Shop\\Cart->price(1)\n"
     "#1 [internal function]: App\\Shop\\Cart->App\\Shop\\{closure}(1)\n"
     "#2 /srv/app/Shop/Cart.php(7): App\\Shop\\Cart->sum(Array)\n"
     "#3 /srv/app/index.php(9): App\\Shop\\Cart::run()\n"
     "#4 {main}\n"
     "  thrown in /srv/app/Shop/Cart.php on line 6\n",
     "/srv/app/Shop/Cart.php:6 \n"
     "/srv/app/Shop/Cart.php:5 Shop.Cart.price\n"
     "/srv/app/Shop/Cart.php:7 Shop.Cart.sum\n"
     "/srv/app/index.php:9 Shop.Cart.run\n"
     "!NoPrice: order has no price in /srv/app/Shop/Cart.php:6\n"},
    {"Lua",
     "lua5.4: cart.lua:2: attempt to index a nil value (field 'total')\n"
     "stack traceback:\n"
     "\tcart.lua:2: in field 'price'\n"
     "\tcart.lua:3: in method 'sum'\n"
     "\tmain.lua:4: in main chunk\n"
     "\t[C]: in ?\n",
     "cart.lua:2 price\n"
     "cart.lua:3 sum\n"
     "main.lua:4 \n"},
    {"Perl",
     "no price at lib/Shop/Cart.pm line 12.\n"
     "\tShop::Cart::sum(1) called at main.pl line 3\n",
     "lib/Shop/Cart.pm:12 \n"
     "main.pl:3 \n"},
    {"Dart",
     "Unhandled exception:\n"
     "Bad state: No element\n"
     "#0      Cart.price (package:shop/cart.dart:12:5)\n"
     "#1      main (file:///srv/app/bin/main.dart:4:3)\n",
     "shop/cart.dart:12 Cart.price\n"
     "/srv/app/bin/main.dart:4 main\n"},
    {"compilers",
     "src/cart.c: In function 'total':\n"
     "src/cart.c:10:5: error: 'n' undeclared (first use in this function)\n"
     "error[E0308]: mismatched types\n"
     "  --> src/main.rs:12:9\n",
     "src/cart.c:10 \n"
     "src/main.rs:12 \n"},
    {"times, ports and versions are no places",
     "2026-11-21 10:15:02 listening on 127.0.0.1:8080, version 1.2.3:4, see https://example.com:443 at 10:30:11\n"
     "connect to [::1]:5432 failed: ECONNREFUSED\n",
     ""},
